package peers;

import io.netty.util.AsciiString;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Locale;

/** The Date header for Netty, which has none of its own: written once a second, as the other servers do. */
final class DateHeader {
    private record Second(long number, AsciiString text) {}

    private static final DateTimeFormatter FORMAT =
            DateTimeFormatter.ofPattern("EEE, dd MMM yyyy HH:mm:ss 'GMT'", Locale.ENGLISH);

    // A second may be written twice by threads that meet: both write the same.
    private static volatile Second last = new Second(-1, AsciiString.EMPTY_STRING);

    private DateHeader() {}

    static AsciiString now() {
        long number = System.currentTimeMillis() / 1000;
        Second known = last;
        if (known.number() != number) {
            ZonedDateTime time = ZonedDateTime.now(ZoneOffset.UTC);
            known = new Second(number, AsciiString.cached(FORMAT.format(time)));
            last = known;
        }
        return known.text();
    }
}
