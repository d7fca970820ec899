//! Cache-line-aligned buffers of 4-byte words.

use bytemuck::{Pod, cast_slice, cast_slice_mut};

/// A cache line, which is also the size of the widest vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct CacheLine(pub(crate) [u32; 16]);

/// A growable buffer of words, aligned to cache lines. Words are little-endian on all machines that kernels run on.
#[derive(Debug, Clone, Default)]
pub(crate) struct AlignedBuf {
    lines: Vec<CacheLine>,
}

#[expect(unsafe_code, reason = "plain old data")]
// SAFETY: an array of words without padding; any bits are a value.
unsafe impl Pod for CacheLine {}
#[expect(unsafe_code, reason = "plain old data")]
// SAFETY: zero bits are a value.
unsafe impl bytemuck::Zeroable for CacheLine {}

impl AlignedBuf {
    /// Grows to at least `words` words; new words are zero, existing ones are kept.
    pub(crate) fn grow(&mut self, words: usize) {
        let lines = words.div_ceil(16);
        if lines > self.lines.len() {
            self.lines.resize(lines, CacheLine::default());
        }
    }

    /// The words as a slice of `T`.
    pub(crate) fn values<T: Pod>(&self) -> &[T] {
        cast_slice(&self.lines)
    }

    /// The words as a mutable slice of `T`.
    pub(crate) fn values_mut<T: Pod>(&mut self) -> &mut [T] {
        cast_slice_mut(&mut self.lines)
    }
}
