package org.httpkit.engine;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32;

/**
 * Loads the native library, once for each class loader that has this class.
 *
 * <p>The library is a resource of the jar. It is unpacked once per content into a private directory, under a name that
 * carries its version and checksum, so builds never meet in one file and the next JVM only compares and loads. The system property
 * {@value #LIBRARY_PROPERTY} names a library to load instead, {@value #DIRECTORY_PROPERTY} a directory to unpack into;
 * neither falls back to anything else, so a wrong value is seen.
 */
public final class NativeLibrary {

    static final String LIBRARY_PROPERTY = "org.httpkit-rs.native-library";
    static final String DIRECTORY_PROPERTY = "org.httpkit-rs.native-directory";

    /** Of these classes; the library's must be the same, since both write and read what crosses between them. */
    static final String VERSION = "0.1.0";

    /** What glibc says of a library that the loaded one needs; that one itself it names with its path. */
    private static final Pattern MISSING_LIBRARY = Pattern.compile(" ([^ /]+): cannot open shared object file");

    private static boolean loaded;

    private NativeLibrary() {}

    /**
     * Makes the native methods of this class loader callable; does nothing when they are.
     *
     * @throws UnsatisfiedLinkError that says what was looked for, where, why it failed and what to do
     */
    public static synchronized void load() {
        if (loaded) {
            return;
        }
        String override = System.getProperty(LIBRARY_PROPERTY);
        if (override == null) {
            unpackAndLoad(Platform.current());
            requireVersion("the class path has " + Platform.current().resource());
        } else {
            loadOverride(override);
            requireVersion("the system property " + LIBRARY_PROPERTY + " names " + override);
        }
        loaded = true;
    }

    private static void loadOverride(String file) {
        Path path = Paths.get(file).toAbsolutePath();
        if (!Files.isRegularFile(path)) {
            throw failure("the system property " + LIBRARY_PROPERTY + " names " + path + ", which is not a file");
        }
        try {
            System.load(path.toString());
        } catch (UnsatisfiedLinkError e) {
            throw failure("the system property " + LIBRARY_PROPERTY + " names " + path
                    + ", which this JVM cannot load: " + e.getMessage(), e);
        } catch (IllegalCallerException e) {
            throw forbidden(e);
        }
    }

    /** JDK 24 and newer may be told to refuse every library (JEP 472). */
    private static UnsatisfiedLinkError forbidden(IllegalCallerException e) {
        Module module = NativeLibrary.class.getModule();
        return failure("this JVM is told to refuse native code (" + e.getMessage()
                + "); start it with --enable-native-access=" + (module.isNamed() ? module.getName() : "ALL-UNNAMED"), e);
    }

    private static void unpackAndLoad(Platform platform) {
        byte[] library = read(platform);
        String name = fileName(platform.libraryFile(), library);
        StringBuilder reasons = new StringBuilder();
        List<Throwable> failures = new ArrayList<>();
        for (String directory : directories()) {
            try {
                // What the locale cannot write is an InvalidPathException.
                loadFrom(new NativeDirectory(Paths.get(directory)), name, library);
                return;
            } catch (IllegalCallerException e) {
                throw forbidden(e);
            } catch (IOException | UnsatisfiedLinkError | RuntimeException e) {
                reasons.append("\n  ").append(directory).append(": ").append(reason(e));
                failures.add(e);
            }
        }
        throw failure("the native library " + platform.resource() + " could be unpacked and loaded nowhere:" + reasons
                + "\n" + advice(reasons), failures.toArray(new Throwable[0]));
    }

    private static String advice(CharSequence reasons) {
        Matcher missing = MISSING_LIBRARY.matcher(reasons);
        if (missing.find()) {
            return "Install " + missing.group(1) + ", which it needs (libgcc_s.so.1 is Debian's package libgcc-s1).";
        }
        return "Name a directory that this user alone may write to and that is not mounted noexec with -D"
                + DIRECTORY_PROPERTY + "=DIRECTORY, or an unpacked library with -D" + LIBRARY_PROPERTY + "=FILE.";
    }

    /**
     * Loads the shared file, or else a copy of its own: the JVM refuses a file that another class loader has loaded,
     * and no text or type tells that refusal from others.
     */
    private static void loadFrom(NativeDirectory directory, String name, byte[] library) throws IOException {
        try {
            System.load(directory.unpack(name, library).toString());
        } catch (UnsatisfiedLinkError e) {
            Path copy = directory.unpackPrivately(name, library);
            try {
                System.load(copy.toString());
            } catch (UnsatisfiedLinkError again) {
                // Of the two the first names the file that is still there.
                throw e;
            } finally {
                // The loaded mapping outlives the name.
                copy.toFile().delete();
            }
        }
    }

    private static byte[] read(Platform platform) {
        String resource = platform.resource();
        ClassLoader loader = NativeLibrary.class.getClassLoader();
        try (InputStream stream = loader.getResourceAsStream(resource)) {
            if (stream == null) {
                throw failure("there is no native library for " + platform + ": the resource " + resource
                        + " is not on the class path. In the source tree, `make build` builds it for this machine;"
                        + " -D" + LIBRARY_PROPERTY + "=FILE names one that lies elsewhere.");
            }
            return stream.readAllBytes();
        } catch (IOException e) {
            throw failure("the resource " + resource + " cannot be read: " + reason(e), e);
        }
    }

    /**
     * Returns the name for this content. A checksum is enough to keep builds apart, since a file is compared byte for byte
     * before it is used; a cryptographic hash takes a JVM that has just started 50 ms for a megabyte.
     */
    private static String fileName(String file, byte[] library) {
        CRC32 checksum = new CRC32();
        checksum.update(library);
        int dot = file.lastIndexOf('.');
        return String.format("%s-%s-%08x%s", file.substring(0, dot), VERSION, checksum.getValue(), file.substring(dot));
    }

    private static List<String> directories() {
        String configured = System.getProperty(DIRECTORY_PROPERTY);
        if (configured != null) {
            return List.of(configured);
        }
        List<String> directories = new ArrayList<>();
        String cache = cacheDirectory();
        if (cache != null) {
            directories.add(cache + File.separator + "httpkit-rs");
        }
        directories.add(System.getProperty("java.io.tmpdir") + File.separator + "httpkit-rs-" + user());
        return directories;
    }

    /** Returns the user's name, which keeps users of a shared temporary directory apart. */
    private static String user() {
        String name = System.getProperty("user.name", "?");
        if (name.equals("?")) {
            // No account entry, as in some containers.
            try {
                return String.valueOf(Files.getAttribute(Paths.get("/proc/self"), "unix:uid"));
            } catch (IOException | RuntimeException e) {
                return "_";
            }
        }
        return name.replaceAll("[^A-Za-z0-9_.-]", "_");
    }

    /** Returns the user's directory for caches, null if there is none. */
    private static String cacheDirectory() {
        String configured = System.getenv("XDG_CACHE_HOME");
        // The XDG base directory specification: a relative path is invalid and to be ignored. A user without an
        // account entry has "?" for a home: a relative path as well.
        if (configured != null && new File(configured).isAbsolute()) {
            return configured;
        }
        String home = System.getProperty("user.home", "");
        return new File(home).isAbsolute() ? home + File.separator + ".cache" : null;
    }

    /** Refuses a library of another version, or of another program. */
    private static void requireVersion(String found) {
        String version;
        try {
            version = version();
        } catch (UnsatisfiedLinkError e) {
            throw failure(found + ", which is not the library of httpkit-rs " + VERSION);
        }
        if (!version.equals(VERSION)) {
            throw failure(found + ", which is the library of httpkit-rs " + version + ", but the classes are of "
                    + VERSION);
        }
    }

    /** Returns the version the loaded library was built as. */
    private static native String version();

    private static String reason(Throwable failure) {
        if (failure instanceof FileSystemException) {
            // Its message is little more than the path; what went wrong is in the reason, or else in the class.
            String reason = ((FileSystemException) failure).getReason();
            return reason != null ? reason : inWords((FileSystemException) failure);
        }
        return String.valueOf(failure.getMessage());
    }

    private static String inWords(FileSystemException failure) {
        if (failure instanceof NoSuchFileException) {
            return "there is no such directory, and it cannot be made";
        }
        if (failure instanceof FileAlreadyExistsException) {
            return "it is not a directory";
        }
        if (failure instanceof AccessDeniedException) {
            return "permission denied";
        }
        return failure.getClass().getSimpleName();
    }

    /** Makes the error without a cause: clojure.main prints the root cause only, and this text is the one that helps. */
    private static UnsatisfiedLinkError failure(String message, Throwable... origins) {
        UnsatisfiedLinkError error = new UnsatisfiedLinkError("httpkit-rs: " + message);
        for (Throwable origin : origins) {
            error.addSuppressed(origin);
        }
        return error;
    }
}
