//! Memory for people's data: growable arrays of plain numbers in anonymous mappings of their own.
//!
//! Invariant: what was ever written is overwritten with zeros before the mapping goes back to the
//! system, also when the array grows and moves. The mapping is kept out of core dumps and locked
//! into memory where the system allows it, and asks for huge pages, without which every random row
//! costs a page-table walk besides its cache misses. One of the two rooms of this crate that may
//! write `unsafe`; nothing unsafe shows outside.

#![expect(unsafe_code, reason = "maps, advises, locks, fills and unmaps anonymous memory")]

use bytemuck::Pod;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::alloc::{Layout, handle_alloc_error};
use std::ops::{Deref, DerefMut, Range};
use std::ptr::{self, NonNull};

/// Size and alignment of a huge page on the common targets; smaller arrays use ordinary pages.
const HUGE: usize = 2 << 20;
const PAGE: usize = 4096;

/// A growable array of plain numbers, aligned to at least 64 bytes. Like a `Vec`, it ends the
/// process when memory cannot be had.
pub struct Arena<T: Pod> {
    /// Start of the mapping and its length in bytes; the length is 0 while there is none.
    mapping: NonNull<u8>,
    mapped: usize,
    /// First item: the mapping's start, or the first huge-page boundary in it.
    items: NonNull<T>,
    capacity: usize,
    len: usize,
    locked: bool,
}

// SAFETY: an arena owns its mapping alone and `Pod` items hold no references, so it may move
// between threads.
unsafe impl<T: Pod + Send> Send for Arena<T> {}
// SAFETY: shared access gives only `&[T]`; every write needs `&mut self`.
unsafe impl<T: Pod + Sync> Sync for Arena<T> {}

impl<T: Pod> Arena<T> {
    /// An empty array with room for `capacity` items; 0 maps nothing.
    pub fn with_capacity(capacity: usize) -> Self {
        const { assert!(size_of::<T>() > 0 && align_of::<T>() <= 64) };
        let Some(bytes) = capacity.checked_mul(size_of::<T>()).filter(|&bytes| bytes <= isize::MAX as usize / 2) else {
            handle_alloc_error(Layout::new::<T>())
        };
        let mut arena = Self {
            mapping: NonNull::dangling(),
            mapped: 0,
            items: NonNull::dangling(),
            capacity,
            len: 0,
            locked: false,
        };
        if bytes > 0 {
            arena.map(bytes);
        }
        arena
    }

    /// An array of `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        let mut arena = Self::with_capacity(len);
        // Fresh anonymous memory reads as zeros, and zeros are a valid `Pod`.
        arena.len = len;
        arena
    }

    /// Appends `items`, moving the array to a mapping twice as large when it is full.
    pub fn extend_from_slice(&mut self, items: &[T]) {
        let len = self.len.saturating_add(items.len());
        if len > self.capacity {
            let mut larger = Self::with_capacity(len.max(self.capacity.saturating_mul(2)).max(PAGE / size_of::<T>()));
            larger.extend_from_slice(self);
            *self = larger;
        }
        // SAFETY: `self.len + items.len() <= self.capacity`, so the offset stays inside the
        // mapping.
        let end = unsafe { self.items.as_ptr().add(self.len) };
        // SAFETY: the target has room for `items.len()` items and `&mut self` keeps `items` from
        // overlapping it.
        unsafe { ptr::copy_nonoverlapping(items.as_ptr(), end, items.len()) };
        self.len = len;
    }

    /// Bytes of memory this array holds, used or not.
    pub fn resident_bytes(&self) -> usize {
        self.capacity * size_of::<T>()
    }

    /// Whether the system agreed to keep this array out of swap. True while nothing is mapped.
    pub fn is_locked(&self) -> bool {
        self.mapped == 0 || self.locked
    }

    /// Overwrites items with zeros, in a way that the compiler does not leave out.
    fn erase(&mut self, range: Range<usize>) {
        let items = &mut self[range];
        items.fill(T::zeroed());
        zeroize::optimization_barrier::<[T]>(items);
    }

    /// Maps room for `bytes` bytes and advises the kernel about it.
    fn map(&mut self, bytes: usize) {
        let (used, mapped) = if bytes >= HUGE {
            let used = bytes.next_multiple_of(HUGE);
            (used, used + HUGE)
        } else {
            let used = bytes.next_multiple_of(PAGE);
            (used, used)
        };
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a null hint lets the kernel choose fresh addresses, so no existing mapping is
        // touched.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), mapped, protection, MapFlags::PRIVATE) };
        let Some(base) = base.ok().and_then(|base| NonNull::new(base.cast::<u8>())) else {
            handle_alloc_error(Layout::new::<T>())
        };
        let skip = if bytes >= HUGE { base.as_ptr().align_offset(HUGE) } else { 0 };
        // SAFETY: `skip` is below `HUGE`, and `mapped` is `used + HUGE` whenever it is not 0.
        let start = unsafe { base.add(skip) };
        self.mapping = base;
        self.mapped = mapped;
        self.items = start.cast();
        self.locked = advise(start, used);
    }
}

/// Asks for huge pages, absence from core dumps and a lock on `used` bytes from `start`, a range
/// inside one fresh mapping. All three are best effort; true if the lock was granted.
fn advise(start: NonNull<u8>, used: usize) -> bool {
    let at = start.as_ptr().cast();
    #[cfg(target_os = "linux")]
    {
        use rustix::mm::{Advice, MlockFlags, madvise, mlock_with};
        if used >= HUGE {
            // SAFETY: the range lies in one mapping of ours; this advice changes no content.
            let _ = unsafe { madvise(at, used, Advice::LinuxHugepage) };
        }
        // SAFETY: as above.
        let _ = unsafe { madvise(at, used, Advice::LinuxDontDump) };
        // Locking on fault keeps reserved but unused room from taking memory.
        // SAFETY: as above.
        unsafe { mlock_with(at, used, MlockFlags::ONFAULT) }.is_ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        // SAFETY: the range lies in one mapping of ours; locking changes no content.
        unsafe { rustix::mm::mlock(at, used) }.is_ok()
    }
}

impl<T: Pod> Deref for Arena<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the first `len <= capacity` items are inside the mapping, initialised (written,
        // or zeros from the kernel) and aligned (page or huge-page start); with no mapping `len` is
        // 0 and the pointer is dangling but aligned.
        unsafe { std::slice::from_raw_parts(self.items.as_ptr(), self.len) }
    }
}

impl<T: Pod> DerefMut for Arena<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.items.as_ptr(), self.len) }
    }
}

impl<T: Pod> Drop for Arena<T> {
    fn drop(&mut self) {
        self.erase(0..self.len);
        if self.mapped > 0 {
            // SAFETY: `mapping` and `mapped` are exactly what `mmap` gave, and nothing refers to it
            // any more.
            let _ = unsafe { munmap(self.mapping.as_ptr().cast(), self.mapped) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_like_a_vec() {
        let (mut arena, mut model) = (Arena::with_capacity(0), Vec::new());
        assert!(arena.is_empty() && arena.is_locked() && arena.resident_bytes() == 0);
        for round in 0..2000_u32 {
            let items: Vec<u32> = (0..=round % 700).map(|i| i * round).collect();
            arena.extend_from_slice(&items);
            model.extend_from_slice(&items);
            assert_eq!(arena.as_ptr().align_offset(64), 0);
        }
        assert!(arena.resident_bytes() > HUGE, "the test must cross into huge pages");
        assert_eq!(arena.as_ptr().align_offset(HUGE), 0);
        assert_eq!(&arena[..], &model[..]);
    }

    #[test]
    fn zeroed_is_zero_and_writable_to_the_end() {
        for len in [0, 1, PAGE, HUGE - 1, HUGE, HUGE + 1] {
            let mut arena = Arena::<i8>::zeroed(len);
            assert!(arena.len() == len && arena.iter().all(|&x| x == 0));
            arena.fill(7);
            assert!(arena.iter().all(|&x| x == 7));
            arena.erase(0..len);
            assert!(arena.iter().all(|&x| x == 0));
        }
    }
}
