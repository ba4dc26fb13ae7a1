//! Where native memory comes from: the system's allocator, but for the two blocks that tokio keeps of every connection, its task
//! and the readiness of its socket.
//!
//! Both are 256 bytes on a boundary of 128, around which glibc's malloc leaves some 240 bytes a connection that nothing else
//! fits. Here such blocks lie side by side, and are kept for the next connections when they are given back.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::{NonNull, null_mut};
use std::sync::{Mutex, PoisonError};

/// Blocks that are taken from the system at a time: 16 KiB.
const BATCH: usize = 64;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::new();

/// A block that is free.
#[repr(C, align(128))]
struct Block {
    next: Option<NonNull<Block>>,
    _rest: [u8; 248],
}

/// The first of the blocks that are free.
struct Free(Option<NonNull<Block>>);

// SAFETY: the blocks of the list are nobody else's, on whatever thread.
unsafe impl Send for Free {}

/// The allocator of the library.
struct Allocator {
    /// std's lock: it allocates nothing.
    free: Mutex<Free>,
}

impl Allocator {
    const fn new() -> Self {
        Self { free: Mutex::new(Free(None)) }
    }

    fn take(&self) -> *mut u8 {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(block) = free.0.or_else(batch) else { return null_mut() };
        // SAFETY: it is on the list, so it is a block that nobody uses.
        free.0 = unsafe { (&raw const (*block.as_ptr()).next).read() };
        block.as_ptr().cast()
    }

    fn give(&self, block: NonNull<Block>) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: `take` made it, and its user is done with it.
        unsafe { (&raw mut (*block.as_ptr()).next).write(free.0) };
        free.0 = Some(block);
    }
}

/// Takes blocks from the system, each linked to the next.
fn batch() -> Option<NonNull<Block>> {
    // SAFETY: the layout has a size.
    let start = NonNull::new(unsafe { System.alloc(Layout::new::<[Block; BATCH]>()) }.cast::<Block>())?;
    let mut next = None;
    for number in (0..BATCH).rev() {
        // SAFETY: it lies within the memory that was just taken, which is aligned for it.
        let block = unsafe { start.add(number) };
        // SAFETY: as above, and nobody else knows of it.
        unsafe { (&raw mut (*block.as_ptr()).next).write(next) };
        next = Some(block);
    }
    next
}

fn is_block(layout: Layout) -> bool {
    layout == Layout::new::<Block>()
}

// SAFETY: a layout goes to one allocator both ways: blocks to the list, whose memory has their size and alignment and one user at a time,
// everything else to the system. Nothing here panics.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_block(layout) {
            return self.take();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if is_block(layout) {
            if let Some(block) = NonNull::new(memory.cast()) {
                self.give(block);
            }
            return;
        }
        // SAFETY: the caller's promise, and `alloc` took it from there.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !is_block(layout) {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc_zeroed(layout) };
        }
        let memory = self.take();
        if !memory.is_null() {
            // SAFETY: `take` returns as many bytes.
            unsafe { memory.write_bytes(0, layout.size()) };
        }
        memory
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if layout.align() < align_of::<Block>() {
            // SAFETY: the caller's promise; no block has so small an alignment.
            return unsafe { System.realloc(memory, layout, new_size) };
        }
        // SAFETY: the caller's promise: the size, rounded up, does not overflow.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: the new layout has a size.
        let new = unsafe { self.alloc(new_layout) };
        if !new.is_null() {
            // SAFETY: both have so many bytes, and the new ones are nobody else's.
            unsafe { new.copy_from_nonoverlapping(memory, layout.size().min(new_size)) };
            // SAFETY: the caller gives it up.
            unsafe { self.dealloc(memory, layout) };
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::{Allocator, BATCH, Block};
    use std::alloc::{GlobalAlloc, Layout};
    use std::collections::HashSet;

    #[test]
    fn blocks_are_aligned_apart_and_used_again() {
        let allocator = Allocator::new();
        let layout = Layout::new::<Block>();
        // SAFETY: the layout has a size.
        let take = || unsafe { allocator.alloc(layout) };
        let blocks: HashSet<*mut u8> = (0..BATCH * 2).map(|_| take()).collect();
        assert_eq!(blocks.len(), BATCH * 2);
        let mut addresses: Vec<usize> = blocks.iter().map(|block| block.addr()).collect();
        addresses.sort_unstable();
        assert!(addresses.windows(2).all(|pair| pair[0] % 128 == 0 && pair[0] + 256 <= pair[1]));
        for &block in &blocks {
            // SAFETY: it came from there, has 256 bytes, and is not used again.
            unsafe {
                block.write_bytes(0xff, layout.size());
                allocator.dealloc(block, layout);
            }
        }
        let again: HashSet<*mut u8> = (0..BATCH * 2).map(|_| take()).collect();
        assert_eq!(again, blocks);
        // SAFETY: the layout has a size.
        let zeroed = unsafe { allocator.alloc_zeroed(layout) };
        // SAFETY: it has 256 bytes.
        assert_eq!(unsafe { std::slice::from_raw_parts(zeroed, 256) }, [0; 256]);
    }

    #[test]
    fn what_grows_out_of_a_block_keeps_its_bytes() {
        let allocator = Allocator::new();
        let layout = Layout::new::<Block>();
        // SAFETY: each size and layout is that of the memory it is used with.
        unsafe {
            let small = allocator.alloc(layout);
            small.write_bytes(7, 256);
            let large = allocator.realloc(small, layout, 512);
            assert_eq!(std::slice::from_raw_parts(large, 256), [7; 256]);
            assert_eq!(allocator.alloc(layout), small);
            let larger = Layout::from_size_align_unchecked(512, 128);
            let back = allocator.realloc(large, larger, 256);
            assert_eq!(std::slice::from_raw_parts(back, 256), [7; 256]);
            allocator.dealloc(back, layout);
        }
    }
}
