//! Memory: what a kernel fills itself is not zeroed first, what was freed is kept.

use std::mem::MaybeUninit;

/// Room for `len` values, not initialised.
pub fn uninit<T: Copy>(len: usize) -> Vec<MaybeUninit<T>> {
    let mut room = Vec::with_capacity(len);
    // SAFETY: the capacity is there, and `MaybeUninit` needs no initialisation.
    unsafe { room.set_len(len) };
    room
}

/// The values.
///
/// # Safety
/// Every element must have been written.
pub unsafe fn filled<T: Copy>(room: Vec<MaybeUninit<T>>) -> Vec<T> {
    let mut room = std::mem::ManuallyDrop::new(room);
    // SAFETY: `MaybeUninit<T>` has T's layout, the allocation is handed over whole, and the caller has written every element.
    unsafe { Vec::from_raw_parts(room.as_mut_ptr().cast(), room.len(), room.capacity()) }
}

/// Values as room to write others to.
pub fn into_uninit<T: Copy>(values: Vec<T>) -> Vec<MaybeUninit<T>> {
    let mut values = std::mem::ManuallyDrop::new(values);
    // SAFETY: the same layout, the allocation is handed over whole, and any value is a `MaybeUninit`.
    unsafe { Vec::from_raw_parts(values.as_mut_ptr().cast(), values.len(), values.capacity()) }
}

/// The same for a slice.
///
/// # Safety
/// Only initialised values may be written to it.
pub unsafe fn as_uninit(values: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    // SAFETY: the same layout, and the caller leaves no element uninitialised.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), values.len()) }
}

/// Tells mimalloc, where it is the global allocator, to keep freed memory for the next allocation. A training step frees and allocates the
/// same few hundred megabytes; handing them back to the system each time costs a page fault, and a cleared page, for every 4 KiB of them.
pub fn keep_freed() {
    /// `mi_option_purge_delay` in mimalloc.h; the binding has no name for it.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    // SAFETY: sets an integer in a table of options; -1 means never.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, -1) };
}
