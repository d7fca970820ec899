//! A buffer written by several tasks in parallel.

use std::marker::PhantomData;

/// A slice of which each task of a parallel region writes its own part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SharedSlice<'a, T> {
    start: *mut T,
    len: usize,
    marker: PhantomData<&'a mut [T]>,
}

#[expect(unsafe_code, reason = "a slice handed to several threads")]
// SAFETY: a mutable slice of `Send` values may be used by other threads; the callers of `part` ensure that no two use
// the same part at the same time.
unsafe impl<T: Send> Send for SharedSlice<'_, T> {}
#[expect(unsafe_code, reason = "a slice handed to several threads")]
// SAFETY: likewise.
unsafe impl<T: Send> Sync for SharedSlice<'_, T> {}

impl<'a, T> SharedSlice<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), marker: PhantomData }
    }

    /// A part of the slice.
    ///
    /// # Safety
    ///
    /// No other part that overlaps it may be in use at the same time.
    ///
    /// # Panics
    ///
    /// When the part is not inside the slice.
    #[allow(unsafe_code, clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, start: usize, len: usize) -> &mut [T] {
        assert!(start <= self.len && len <= self.len - start, "a part must lie inside its slice");
        // SAFETY: inside the slice, which is borrowed mutably for 'a; the caller ensures that parts do not overlap.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}
