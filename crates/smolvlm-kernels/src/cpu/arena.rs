//! Memory for weights, on large pages where the system has them.
//!
//! A decoding step reads all weights of the text model once. On pages of 4 kB, looking up the pages is a good part of that.
//! A matrix is smaller than a large page, so matrices share blocks of memory.

use super::aligned_buf::CacheLine;
use memmap2::{Advice, MmapMut};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Bytes of a block. Pages that nobody touched take no memory.
const BLOCK: usize = 32 << 20;

/// Lines of memory, filled by one call and read only after that.
#[derive(Debug, Clone)]
pub(crate) struct WeightBuf {
    block: Arc<Block>,
    range: Range<usize>,
}

#[derive(Debug)]
struct Block {
    /// Kept for its drop; `start` points into it.
    _map: MmapMut,
    start: *mut CacheLine,
}

#[expect(unsafe_code, reason = "memory with parts of several owners")]
// SAFETY: the pointer is that of the map, which may move between threads. Parts are handed out once and written before they
// are shared; see `WeightBuf`.
unsafe impl Send for Block {}
#[expect(unsafe_code, reason = "memory with parts of several owners")]
// SAFETY: likewise.
unsafe impl Sync for Block {}

impl WeightBuf {
    /// Room for `count` lines of zeros, which `fill` may write to.
    ///
    /// # Panics
    ///
    /// When the system has no memory left.
    #[allow(unsafe_code)]
    pub(crate) fn filled(count: usize, fill: impl FnOnce(&mut [CacheLine])) -> Self {
        /// The block that is handed out at present and the lines of it that are. Its parts alone keep it alive.
        static CURRENT: Mutex<(Weak<Block>, usize)> = Mutex::new((Weak::new(), 0));
        let lines = {
            let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
            let room = BLOCK / size_of::<CacheLine>();
            let (block, used) = match current.0.upgrade() {
                Some(block) if current.1 + count <= room => (block, current.1),
                _ => (Arc::new(Block::new(count.max(room))), 0),
            };
            *current = (Arc::downgrade(&block), used + count);
            Self { block, range: used..used + count }
        };
        // SAFETY: this part of the block was handed out just now, to this value alone, and is inside the block.
        fill(unsafe { std::slice::from_raw_parts_mut(lines.block.start.add(lines.range.start), count) });
        lines
    }
}

impl std::ops::Deref for WeightBuf {
    type Target = [CacheLine];

    #[allow(unsafe_code)]
    fn deref(&self) -> &[CacheLine] {
        // SAFETY: inside the block, and not written any more since `filled` returned.
        unsafe { std::slice::from_raw_parts(self.block.start.add(self.range.start), self.range.len()) }
    }
}

impl Block {
    fn new(lines: usize) -> Self {
        let bytes = lines * size_of::<CacheLine>();
        let mut map = match MmapMut::map_anon(bytes.max(1)) {
            Ok(map) => map,
            // As the standard library does when it gets no memory.
            Err(error) => panic!("no memory for {bytes} bytes of weights: {error}"),
        };
        #[cfg(target_os = "linux")]
        // A refusal costs speed and nothing else.
        drop(map.advise(Advice::HugePage));
        let start = map.as_mut_ptr().cast();
        Self { _map: map, start }
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, WeightBuf};
    use crate::cpu::aligned_buf::CacheLine;
    use std::sync::Arc;

    #[test]
    fn parts_are_zero_aligned_and_apart() {
        let sizes = [1, 1000, 0, BLOCK / 64, 3, BLOCK / 64 + 1, 7];
        let filled = |value: u32| {
            move |lines: &mut [CacheLine]| {
                assert!(lines.iter().all(|line| line.0 == [0; 16]));
                lines.fill(CacheLine([value; 16]));
            }
        };
        let parts: Vec<WeightBuf> =
            sizes.iter().zip(1..).map(|(&size, value)| WeightBuf::filled(size, filled(value))).collect();
        for ((part, size), value) in parts.iter().zip(sizes).zip(1..) {
            assert_eq!(part.len(), size);
            assert_eq!(part.as_ptr().align_offset(64), 0);
            assert!(part.iter().all(|line| line.0 == [value; 16]));
        }
        // A part that fills its block shares it with nothing that was asked for later.
        let whole = Arc::downgrade(&parts[3].block);
        assert!(whole.upgrade().is_some());
        drop(parts);
        assert!(whole.upgrade().is_none(), "a block without parts is freed");
    }
}
