package org.httpkit.engine;

import java.util.Locale;

/**
 * The operating system and processor this JVM runs on, in the words the native library's resource path uses.
 *
 * <p>Systems and processors nobody has built the library for keep the JVM's own name, so that the error for a
 * missing library still says which one was looked for.
 */
final class Platform {

    private final String system;
    private final String processor;

    Platform(String osName, String osArch) {
        this.system = system(osName.toLowerCase(Locale.ROOT));
        this.processor = processor(osArch.toLowerCase(Locale.ROOT));
    }

    static Platform current() {
        return new Platform(System.getProperty("os.name", "unknown"), System.getProperty("os.arch", "unknown"));
    }

    /** Returns the place of the library on the class path, for example {@code native/linux-x86_64/libhttpkit_rs.so}. */
    String resource() {
        return "native/" + this + "/" + libraryFile();
    }

    /** Returns the name the platform's linker gives the library, for example {@code libhttpkit_rs.so}. */
    String libraryFile() {
        switch (system) {
            case "windows":
                return "httpkit_rs.dll";
            case "macos":
                return "libhttpkit_rs.dylib";
            default:
                return "libhttpkit_rs.so";
        }
    }

    @Override
    public String toString() {
        return system + "-" + processor;
    }

    private static String system(String name) {
        if (name.startsWith("mac") || name.startsWith("darwin")) {
            return "macos";
        }
        return name.startsWith("windows") ? "windows" : fileNamePart(name);
    }

    private static String processor(String name) {
        switch (name) {
            case "amd64":
            case "x86_64":
            case "x64":
                return "x86_64";
            case "arm64":
            case "aarch64":
                return "aarch64";
            default:
                return fileNamePart(name);
        }
    }

    private static String fileNamePart(String name) {
        return name.replaceAll("[^a-z0-9_]+", "_");
    }
}
