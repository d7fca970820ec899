//! Memory for kernels: 4-byte words on whole cache lines.

use bytemuck::{Pod, cast_slice, cast_slice_mut};

/// A cache line, which is also the widest vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct CacheLine(pub(crate) [u32; 16]);

/// A growing buffer of words that starts on a cache line. Bytes are little-endian within a word on all machines that
/// kernels run on.
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
    /// Room for at least `words`; what is new is zero, what was there stays.
    pub(crate) fn grow(&mut self, words: usize) {
        let lines = words.div_ceil(16);
        if lines > self.lines.len() {
            self.lines.resize(lines, CacheLine::default());
        }
    }

    /// The words as values.
    pub(crate) fn values<T: Pod>(&self) -> &[T] {
        cast_slice(&self.lines)
    }

    /// The words as values.
    pub(crate) fn values_mut<T: Pod>(&mut self) -> &mut [T] {
        cast_slice_mut(&mut self.lines)
    }
}
