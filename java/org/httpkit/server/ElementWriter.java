package org.httpkit.server;

import clojure.lang.IPending;
import clojure.lang.ISeq;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.Charset;

/**
 * Writes a sequence as Ring does: the client has each element before the next is asked for, in the encoding of the Content-Type.
 *
 * <p>Elements that are there already are gathered: the client cannot tell, and each would be a write of its own. Those that were
 * written are held by nobody here: a sequence may be longer than the heap.
 */
final class ElementWriter implements SelfWriting {
    private final Charset charset;
    private ISeq elements;

    ElementWriter(ISeq elements, Charset charset) {
        this.elements = elements;
        this.charset = charset;
    }

    @Override
    public void writeTo(OutputStream stream) throws IOException {
        ISeq seq = elements.seq();
        elements = null;
        while (seq != null) {
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
