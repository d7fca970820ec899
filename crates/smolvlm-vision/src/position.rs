//! Position ids of patches for tiles of any resolution.

/// A mask of valid patches, those that contain image pixels: `[tiles, rows, columns]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchMask {
    /// Number of tiles, rows of patches and columns of patches.
    pub shape: [usize; 3],
    /// Row-major values; true where the patch contains at least one image pixel.
    pub valid: Vec<bool>,
}

impl PatchMask {
    /// The mask of tiles without padding.
    pub fn full(shape: [usize; 3]) -> Self {
        Self { shape, valid: vec![true; shape.iter().product()] }
    }

    /// Whether every patch of every tile is valid.
    pub fn is_full(&self) -> bool {
        self.valid.iter().all(|&valid| valid)
    }
}

/// Computes the row of the position table for each patch, `[tiles, rows * columns]`.
///
/// A tile with `n` valid patches along an axis spreads them over the `grid` positions that the encoder was trained
/// with: patch `i` gets `floor(i * grid / n)`, at most `grid - 1`. The counts are taken from the first column and the
/// first row. Invalid patches get position 0. The reference computes this with f32 buckets; for the released models'
/// grids of 27 and 32 both agree for every `n` up to the grid (transformers 5.24.0, `SmolVLMVisionEmbeddings`).
pub fn position_ids(mask: &PatchMask, grid: usize) -> Vec<i32> {
    let [_, rows, columns] = mask.shape;
    let mut ids = Vec::with_capacity(mask.valid.len());
    for tile in mask.valid.chunks(rows * columns) {
        let valid_rows = (0..rows).filter(|row| tile[row * columns]).count();
        let valid_columns = tile[..columns].iter().filter(|&&valid| valid).count();
        let bucket = |index: usize, count: usize| (index * grid / count.max(1)).min(grid - 1);
        for row in 0..rows {
            for column in 0..columns {
                let id = bucket(row, valid_rows) * grid + bucket(column, valid_columns);
                ids.push(if tile[row * columns + column] { id as i32 } else { 0 });
            }
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::{PatchMask, position_ids};

    #[test]
    fn full_tile_uses_positions_in_order() {
        let ids = position_ids(&PatchMask::full([2, 27, 27]), 27);
        assert_eq!(ids, [(0..27 * 27).collect::<Vec<i32>>(), (0..27 * 27).collect()].concat());
    }

    #[test]
    fn other_sizes_spread_over_the_grid() {
        let along = |n: usize, grid: usize| position_ids(&PatchMask::full([1, 1, n]), grid);
        assert_eq!(along(3, 32), [0, 10, 21]);
        assert_eq!(along(5, 32), [0, 6, 12, 19, 25]);
        assert_eq!(along(16, 32), (0..16).map(|i| 2 * i).collect::<Vec<i32>>());
        assert_eq!(along(5, 27), [0, 5, 10, 16, 21]);
        assert_eq!(along(40, 32)[..8], [0, 0, 1, 2, 3, 4, 4, 5]);
    }

    #[test]
    fn invalid_patches_get_zero() {
        // 2 x 2 valid patches at the top left of 3 x 3.
        let valid = vec![true, true, false, true, true, false, false, false, false];
        let ids = position_ids(&PatchMask { shape: [1, 3, 3], valid }, 4);
        assert_eq!(ids, [0, 2, 0, 8, 10, 0, 0, 0, 0]);
    }
}
