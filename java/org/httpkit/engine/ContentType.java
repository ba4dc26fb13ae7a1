package org.httpkit.engine;

/**
 * The two things Ring's request map wants from a Content-Type header: the charset and what stands before the parameters.
 *
 * <p>http-kit's reading: the type is only cut at the first semicolon when there is a charset, whose value is kept as written.
 */
final class ContentType {
    private static final String CHARSET = "charset";

    private ContentType() {
    }

    /** Returns the value of the charset parameter without quotes, or null if there is none or it is empty. */
    static String charset(String header) {
        int length = header.length();
        int at = 0;
        while (at < length) {
            int name = skipSpace(header, at);
            if (header.regionMatches(true, name, CHARSET, 0, CHARSET.length())) {
                int equals = skipSpace(header, name + CHARSET.length());
                if (equals < length && header.charAt(equals) == '=') {
                    String value = value(header, skipSpace(header, equals + 1));
                    return value.isEmpty() ? null : value;
                }
            }
            at = nextParameter(header, at);
        }
        return null;
    }

    /** Returns everything before the first semicolon. */
    static String withoutParameters(String header) {
        int end = header.indexOf(';');
        return end < 0 ? header : header.substring(0, end);
    }

    private static String value(String header, int start) {
        StringBuilder value = new StringBuilder();
        boolean quoted = start < header.length() && header.charAt(start) == '"';
        for (int i = quoted ? start + 1 : start; i < header.length(); i++) {
            char c = header.charAt(i);
            if (quoted ? c == '"' : c == ';' || c == ' ' || c == '\t') {
                break;
            }
            if (quoted && c == '\\' && i + 1 < header.length()) {
                c = header.charAt(++i);
            }
            value.append(c);
        }
        return value.toString();
    }

    /** Returns the position after the next semicolon that is not within quotes. */
    private static int nextParameter(String header, int start) {
        boolean quoted = false;
        for (int i = start; i < header.length(); i++) {
            char c = header.charAt(i);
            if (c == '"') {
                quoted = !quoted;
            } else if (quoted && c == '\\') {
                i++;
            } else if (!quoted && c == ';') {
                return i + 1;
            }
        }
        return header.length();
    }

    private static int skipSpace(String header, int start) {
        int i = start;
        while (i < header.length() && (header.charAt(i) == ' ' || header.charAt(i) == '\t')) {
            i++;
        }
        return i;
    }
}
