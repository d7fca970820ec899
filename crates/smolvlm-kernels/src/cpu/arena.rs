//! Arena for packed weights, on huge pages where the system supports them.
//!
//! A decoding step reads all weights of the text model once. With pages of 4 kB, TLB misses take a good part of that
//! time. A matrix is smaller than a huge page, so matrices share blocks of memory.

use super::aligned_buf::CacheLine;
use memmap2::MmapMut;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Bytes per block. Untouched pages take no memory.
const BLOCK: usize = 32 << 20;

/// Cache lines of an arena block: written once by [`filled`](Self::filled), read-only after that.
#[derive(Debug, Clone)]
pub(crate) struct WeightBuf {
    block: Arc<Block>,
    range: Range<usize>,
}

#[derive(Debug)]
struct Block {
    /// Owns the mapping that `start` points into.
    _map: MmapMut,
    start: *mut CacheLine,
}

#[expect(unsafe_code, reason = "memory with parts of several owners")]
// SAFETY: the pointer is that of the map, which may move between threads. Each range is allocated once and written
// before it is shared; see `WeightBuf`.
unsafe impl Send for Block {}
#[expect(unsafe_code, reason = "memory with parts of several owners")]
// SAFETY: likewise.
unsafe impl Sync for Block {}

impl WeightBuf {
    /// Allocates `count` zeroed cache lines and lets `fill` write to them.
    ///
    /// # Panics
    ///
    /// When the system is out of memory.
    #[allow(unsafe_code)]
    pub(crate) fn filled(count: usize, fill: impl FnOnce(&mut [CacheLine])) -> Self {
        /// The current block and its number of allocated lines. Only the buffers in it keep it alive.
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
        // SAFETY: this range of the block was just allocated to this value only, and lies inside the block.
        fill(unsafe { std::slice::from_raw_parts_mut(lines.block.start.add(lines.range.start), count) });
        lines
    }
}

impl std::ops::Deref for WeightBuf {
    type Target = [CacheLine];

    #[allow(unsafe_code)]
    fn deref(&self) -> &[CacheLine] {
        // SAFETY: inside the block, and no longer written since `filled` returned.
        unsafe { std::slice::from_raw_parts(self.block.start.add(self.range.start), self.range.len()) }
    }
}

impl Block {
    fn new(lines: usize) -> Self {
        let bytes = lines * size_of::<CacheLine>();
        let mut map = match map_zeroed(bytes) {
            Ok(map) => map,
            // Like the standard library on allocation failure.
            Err(error) => panic!("no memory for {bytes} bytes of weights: {error}"),
        };
        let start = map.as_mut_ptr().cast();
        Self { _map: map, start }
    }
}

/// Maps zeroed memory, on huge pages where the system supports them. Untouched pages take no memory.
///
/// # Errors
///
/// When the system is out of memory.
pub(crate) fn map_zeroed(bytes: usize) -> std::io::Result<MmapMut> {
    let map = MmapMut::map_anon(bytes.max(1))?;
    #[cfg(target_os = "linux")]
    // Best effort: without huge pages, access is merely slower.
    drop(map.advise(memmap2::Advice::HugePage));
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, WeightBuf};
    use crate::cpu::aligned_buf::CacheLine;
    use std::sync::Arc;

    #[test]
    fn buffers_are_zeroed_aligned_and_disjoint() {
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
        // A buffer that fills its block does not share it with later allocations.
        let whole = Arc::downgrade(&parts[3].block);
        assert!(whole.upgrade().is_some());
        drop(parts);
        assert!(whole.upgrade().is_none(), "a block without buffers is freed");
    }
}
