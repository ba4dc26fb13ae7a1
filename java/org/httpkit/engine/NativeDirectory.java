package org.httpkit.engine;

import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.Set;

/**
 * One directory the native library may be unpacked into.
 *
 * <p>What is loaded from here runs with the rights of this process, so a file is trusted only when this user owns it
 * and its directory, nobody else may write to either, and its content is the library's, byte for byte. A file appears
 * under its final name by an atomic rename: several JVMs may unpack at once and none sees half a library.
 */
final class NativeDirectory {

    private static final Set<PosixFilePermission> OTHERS_MAY_WRITE =
            Set.of(PosixFilePermission.GROUP_WRITE, PosixFilePermission.OTHERS_WRITE);

    private final Path directory;

    NativeDirectory(Path directory) {
        this.directory = directory.toAbsolutePath();
    }

    /**
     * Returns the library's file under {@code name}, written now unless an earlier run left the same one.
     *
     * @throws IOException when the directory cannot be created or written, or others could tamper with it
     */
    Path unpack(String name, byte[] library) throws IOException {
        createDirectory();
        // A file this process creates tells who this process is; the JVM has no other portable word for it.
        Path fresh = Files.createTempFile(directory, name, ".tmp");
        try {
            requirePrivate(directory, fresh);
            Path target = directory.resolve(name);
            if (Files.exists(target, LinkOption.NOFOLLOW_LINKS) && isUsable(target, fresh, library)) {
                return target;
            }
            write(fresh, library);
            Files.move(fresh, target, StandardCopyOption.ATOMIC_MOVE);
            return target;
        } finally {
            Files.deleteIfExists(fresh);
        }
    }

    /** Writes a copy of the library that no other class loader uses; the caller deletes it once it is loaded. */
    Path unpackPrivately(String name, byte[] library) throws IOException {
        createDirectory();
        Path copy = Files.createTempFile(directory, name, ".private");
        write(copy, library);
        return copy;
    }

    @Override
    public String toString() {
        return directory.toString();
    }

    private void createDirectory() throws IOException {
        if (!Files.isDirectory(directory)) {
            Files.createDirectories(
                    directory, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
        }
    }

    private static void requirePrivate(Path path, Path own) throws IOException {
        String objection = objection(path, own);
        if (objection != null) {
            throw new IOException(objection);
        }
    }

    private static boolean isUsable(Path target, Path own, byte[] library) throws IOException {
        return Files.isRegularFile(target, LinkOption.NOFOLLOW_LINKS)
                && objection(target, own) == null
                && Files.size(target) == library.length
                && hasContent(target, library);
    }

    // These two use the streams of java.io: those of Files take direct memory, of which a JVM may have less than the library's size.

    private static boolean hasContent(Path file, byte[] content) throws IOException {
        try (InputStream stream = new FileInputStream(file.toFile())) {
            return Arrays.equals(stream.readAllBytes(), content);
        }
    }

    private static void write(Path file, byte[] content) throws IOException {
        try (OutputStream stream = new FileOutputStream(file.toFile())) {
            stream.write(content);
        }
    }

    /** Says why {@code path} could be tampered with by another user, or returns null when it could not. */
    private static String objection(Path path, Path own) throws IOException {
        PosixFileAttributes attributes = Files.readAttributes(path, PosixFileAttributes.class);
        if (!attributes.owner().equals(Files.getOwner(own))) {
            return "it belongs to " + attributes.owner().getName() + ", not to the user of this process";
        }
        for (PosixFilePermission permission : OTHERS_MAY_WRITE) {
            if (attributes.permissions().contains(permission)) {
                return "others may write to it (" + PosixFilePermissions.toString(attributes.permissions()) + ")";
            }
        }
        return null;
    }
}
