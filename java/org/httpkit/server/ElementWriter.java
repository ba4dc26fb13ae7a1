package org.httpkit.server;

import clojure.lang.IPending;
import clojure.lang.ISeq;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.Charset;

/**
 * Writes a sequence as Ring does: the client has each element before the next is asked for, in the encoding of the Content-Type.
 *
 * <p>Elements that are there already are gathered: the client cannot tell, and each would be a write of its own.
 */
final class ElementWriter implements BodyWriter {
    private final Charset charset;

    ElementWriter(Charset charset) {
        this.charset = charset;
    }

    @Override
    public boolean implementedBy(Object body) {
        return body instanceof ISeq;
    }

    @Override
    public boolean accepts(Object body) {
        return implementedBy(body);
    }

    @Override
    public void write(Object body, Object response, OutputStream stream) throws IOException {
        for (ISeq seq = ((ISeq) body).seq(); seq != null;) {
            Object element = seq.first();
            if (element != null) {
                stream.write(element.toString().getBytes(charset));
            }
            ISeq rest = seq.more();
            if (rest instanceof IPending && !((IPending) rest).isRealized()) {
                stream.flush();
            }
            seq = rest.seq();
        }
        stream.close();
    }
}
