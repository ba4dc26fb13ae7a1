package org.httpkit.engine;

import java.nio.charset.Charset;

/** Turns file names into the bytes the operating system knows them by, as the JDK itself does. */
public final class FileNames {
    private static final Charset CHARSET = charset();

    private FileNames() {
    }

    /** Returns the bytes of a path. */
    public static byte[] bytes(String path) {
        return path.getBytes(CHARSET);
    }

    private static Charset charset() {
        String name = System.getProperty("sun.jnu.encoding");
        return name != null && Charset.isSupported(name) ? Charset.forName(name) : Charset.defaultCharset();
    }
}
