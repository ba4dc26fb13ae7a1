package org.httpkit.engine;

/**
 * The Foreign Function and Memory API of JDK 22 and newer (JEP 454), found by reflection: the class files are those of Java 11.
 *
 * <p>To load it takes some 20 to 50 ms, so its users do that in the background, and not before they are sure to gain from it.
 */
final class ForeignApi {
    private static final int FIRST_RELEASE = 22;

    private ForeignApi() {
    }

    /** Returns true if this JVM has it. It may forbid its use all the same. */
    static boolean isPresent() {
        return Runtime.version().feature() >= FIRST_RELEASE;
    }

    /** Returns the type of that name in {@code java.lang.foreign}. */
    static Class<?> type(String name) throws ClassNotFoundException {
        return Class.forName("java.lang.foreign." + name);
    }

    /** Runs what loads it on a thread of its own. */
    static void inBackground(String threadName, Runnable load) {
        Thread loader = new Thread(load, threadName);
        loader.setContextClassLoader(null);
        loader.setDaemon(true);
        loader.start();
    }
}
