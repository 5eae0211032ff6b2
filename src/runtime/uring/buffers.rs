//! The provided-buffer ring: memory that the kernel takes buffers from as packets arrive, and gets them back when the
//! packet has been sent on or dropped.
//!
//! The kernel uses the ring's buffers in turn, so a deep ring walks through more memory than the cache holds, a few
//! packets at a time. It is therefore kept shallow, filled from a stack of the buffers used last, and made deeper only
//! when the kernel has found it empty.

use super::layout::BUFFER_LEN;
use io_uring::Submitter;
use io_uring::types::BufRingEntry;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

/// The one buffer group of a worker's ring.
pub const GROUP: u16 = 0;

/// Most buffers that a ring can have (the kernel's own limit).
pub const BUFFERS_MAX: u16 = 1 << 15;

/// Bytes from one buffer to the next: a little more than a power of two, or all buffers' beginnings, the only part that a
/// telephone's packet fills, would compete for the same few sets of the cache.
const STRIDE: usize = BUFFER_LEN + 320;

/// Buffers in the ring at first.
const SHALLOW: u16 = 512;

/// The number of a buffer that the kernel has handed out: ours until [`Buffers::give_back`].
#[derive(Debug, PartialEq, Eq)]
pub struct BufferId(u16);

/// One anonymous mapping: first the ring's entries, page-aligned as the kernel wants it, then the buffers.
pub struct Buffers {
    map: NonNull<u8>,
    map_len: usize,
    count: u16,
    tail: u16,
    /// Buffers in the ring, at most `depth`.
    offered: u16,
    depth: u16,
    /// Already deeper than what the kernel has seen.
    is_deepened: bool,
    /// The others, the last used on top.
    spare: Vec<u16>,
}

impl Buffers {
    /// `count` buffers, all to be handed out once registered. `count` is a power of two, at most [`BUFFERS_MAX`].
    /// Errors: InvalidInput for another count; no memory.
    pub fn new(count: u16) -> io::Result<Buffers> {
        if !count.is_power_of_two() || count > BUFFERS_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let map_len = entries_len(count) + usize::from(count) * STRIDE;
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice touches no memory of ours.
        let map = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                map_len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        if map == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let map = NonNull::new(map.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mut buffers = Buffers {
            map,
            map_len,
            count,
            tail: 0,
            offered: 0,
            depth: count.min(SHALLOW),
            is_deepened: false,
            spare: (0..count).rev().collect(),
        };
        buffers.publish();
        Ok(buffers)
    }

    /// Hands the ring to the kernel. The buffers must outlive the registration: see [`Buffers::unregister`].
    pub fn register(&self, submitter: &Submitter<'_>) -> io::Result<()> {
        let address = self.map.as_ptr() as u64;
        // SAFETY: the mapping begins with `count` entries on a page boundary, and is unmapped only on drop, before
        // which the owner unregisters.
        unsafe { submitter.register_buf_ring_with_flags(address, self.count, GROUP, 0) }
    }

    /// Takes the ring back: after this the kernel writes to no buffer.
    pub fn unregister(&self, submitter: &Submitter<'_>) -> io::Result<()> {
        submitter.unregister_buf_ring(GROUP)
    }

    /// The buffer of this number, as a completion names it. None if the ring has no such buffer.
    #[inline]
    pub fn taken(&mut self, number: u16) -> Option<BufferId> {
        if number >= self.count {
            return None;
        }
        self.offered = self.offered.saturating_sub(1);
        Some(BufferId(number))
    }

    /// The kernel has found the ring empty: it gets twice as deep, once for all who tell so before the next
    /// [`Buffers::publish`]. False if it is as deep as it gets, so that all buffers are in use.
    pub fn deepen(&mut self) -> bool {
        if !self.is_deepened && self.depth < self.count {
            self.depth = self.depth.saturating_mul(2).min(self.count);
            self.is_deepened = true;
        }
        self.is_deepened
    }

    /// A part of a buffer's bytes.
    ///
    /// # Panics
    /// If the range lies outside [`BUFFER_LEN`].
    #[inline]
    pub fn bytes(&mut self, id: &BufferId, range: Range<usize>) -> &mut [u8] {
        assert!(range.start <= range.end && range.end <= BUFFER_LEN);
        // SAFETY: `id` is below `count` (checked in `taken`, the only way to have one), so the range lies within the
        // mapping. The kernel has handed the buffer out and does not touch it until it is given back; `&mut self`
        // keeps any other slice away.
        unsafe {
            let start = self.address(id.0).add(range.start);
            std::slice::from_raw_parts_mut(start, range.end - range.start)
        }
    }

    /// Takes a buffer back. The kernel may get it with the next [`Buffers::publish`].
    #[inline]
    pub fn give_back(&mut self, id: BufferId) {
        self.spare.push(id.0);
    }

    /// Fills the ring up and shows it to the kernel.
    #[inline]
    pub fn publish(&mut self) {
        self.is_deepened = false;
        while self.offered < self.depth
            && let Some(id) = self.spare.pop()
        {
            self.offer(id);
        }
        // SAFETY: the mapping begins with the first entry of the ring, in which the tail lies, aligned for a u16 and
        // valid for as long as `self`.
        let tail = unsafe {
            let tail = BufRingEntry::tail(self.map.cast::<BufRingEntry>().as_ptr());
            &*tail.cast::<AtomicU16>()
        };
        tail.store(self.tail, Ordering::Release);
    }

    #[inline]
    fn offer(&mut self, id: u16) {
        let place = usize::from(self.tail & (self.count - 1));
        // SAFETY: `place` is below `count`, so the entry lies within the mapping's first part. The kernel reads
        // entries only between its head and the published tail; this one is beyond it. A ring never holds more than
        // `count` buffers, since each is in the ring, on the stack or with the worker, so the entry is not one the
        // kernel has still to read. The fields are set one by one because the first entry's last field is the tail.
        let entry = unsafe { &mut *self.map.cast::<BufRingEntry>().as_ptr().add(place) };
        entry.set_addr(self.address(id) as u64);
        entry.set_len(BUFFER_LEN as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        self.offered += 1;
    }

    #[inline]
    fn address(&self, id: u16) -> *mut u8 {
        let offset = entries_len(self.count) + usize::from(id) * STRIDE;
        // SAFETY: `id` is below `count`, so the offset lies within the mapping.
        unsafe { self.map.as_ptr().add(offset) }
    }
}

/// Bytes of the ring's entries, rounded up to a page, so that the first buffer begins on one.
fn entries_len(count: u16) -> usize {
    const PAGE_LEN: usize = 4096;
    (usize::from(count) * size_of::<BufRingEntry>()).next_multiple_of(PAGE_LEN)
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and no slice of it outlives `self`.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.map_len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_do_not_overlap() {
        let mut buffers = Buffers::new(4).expect("memory");
        assert_eq!(buffers.offered, 4);
        for number in 0..4 {
            let id = buffers.taken(number).expect("a buffer");
            buffers.bytes(&id, 0..BUFFER_LEN).fill(number as u8 + 1);
        }
        for number in 0..4 {
            let id = buffers.taken(number).expect("a buffer");
            let bytes = buffers.bytes(&id, 0..BUFFER_LEN);
            assert!(bytes.iter().all(|byte| *byte == number as u8 + 1));
        }
        assert_eq!(buffers.taken(4), None);
    }

    #[test]
    fn the_ring_is_filled_with_what_was_used_last_and_deepened_on_demand() {
        let mut buffers = Buffers::new(2048).expect("memory");
        assert_eq!(buffers.offered, SHALLOW);
        let ids: Vec<BufferId> = (0..3).filter_map(|id| buffers.taken(id)).collect();
        for id in ids {
            buffers.give_back(id);
        }
        buffers.publish();
        assert_eq!(buffers.offered, SHALLOW);
        assert_eq!(buffers.spare.len(), 2048 - usize::from(SHALLOW));
        assert!(!buffers.spare.iter().any(|id| *id < SHALLOW));
        assert!(buffers.deepen());
        buffers.publish();
        assert_eq!(buffers.offered, 2 * SHALLOW);
        assert!(buffers.deepen());
        assert!(buffers.deepen(), "already deep enough for the next turn");
        buffers.publish();
        assert_eq!(buffers.offered, 2048);
        assert!(!buffers.deepen());
    }

    #[test]
    fn a_count_that_no_ring_can_have_is_refused() {
        for count in [0, 3, 4095] {
            assert!(Buffers::new(count).is_err());
        }
    }
}
