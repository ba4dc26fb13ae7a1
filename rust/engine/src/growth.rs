//! Buffers that grow with what a client sends: nothing it does may end the process for want of memory.

/// Makes room for `more` bytes: twice what there is and at least `least`, but never beyond `most`, the length it may come to. So memory
/// follows what has been received. False if there is none; the buffer is as it was.
#[must_use]
pub(crate) fn reserve(buffer: &mut Vec<u8>, more: usize, least: usize, most: usize) -> bool {
    let held = buffer.len();
    if buffer.capacity() - held >= more {
        return true;
    }
    let Some(needed) = held.checked_add(more) else { return false };
    let wanted = held.saturating_mul(2).max(least).min(most).max(needed);
    buffer.try_reserve_exact(wanted - held).is_ok()
}

#[cfg(test)]
mod tests {
    use super::reserve;

    #[test]
    fn a_buffer_doubles_up_to_what_there_will_be() {
        let mut buffer = Vec::new();
        let mut capacities = Vec::new();
        while buffer.len() < 100_000 {
            assert!(reserve(&mut buffer, 1, 4096, 100_000));
            buffer.resize(buffer.capacity(), 0);
            capacities.push(buffer.capacity());
        }
        assert_eq!(capacities, [4096, 8192, 16384, 32768, 65536, 100_000]);
        assert!(reserve(&mut buffer, 50_000, 0, 100_000), "what has come is kept, whatever was expected");
    }

    #[test]
    fn no_memory_is_an_answer() {
        let mut buffer = vec![1, 2, 3];
        assert!(!reserve(&mut buffer, usize::MAX, 0, usize::MAX));
        assert!(!reserve(&mut buffer, isize::MAX as usize, 0, usize::MAX));
        assert_eq!(buffer, [1, 2, 3]);
    }
}
