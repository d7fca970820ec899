//! Padded batches of tiles.

use crate::{Error, Tiles};

/// Tiles of several samples in one array in the layout of the reference; samples with fewer tiles are padded with
/// zeros.
#[derive(Debug, Clone, PartialEq)]
pub struct TileBatch {
    /// Samples, max tiles per sample, channels, edge, edge.
    pub shape: [usize; 5],
    /// Pixel values of that shape.
    pub pixel_values: Vec<f32>,
    /// 1 for a real pixel, 0 for padding: `[samples, max tiles, edge, edge]`.
    pub pixel_attention_mask: Vec<i64>,
    /// Tile rows of each image of each sample.
    pub rows: Vec<Vec<u32>>,
    /// Tile columns of each image of each sample.
    pub cols: Vec<Vec<u32>>,
}

impl TileBatch {
    /// Pads the images of each sample to a common number of tiles.
    ///
    /// # Errors
    ///
    /// [`Error::NoImages`] if no sample has an image, [`Error::MixedTiles`] if tile sizes differ.
    pub fn new(samples: &[Vec<Tiles>]) -> Result<Self, Error> {
        let mut edges = samples.iter().flatten().map(|tiles| tiles.edge);
        let edge = edges.next().ok_or(Error::NoImages { rows: samples.len() })?;
        if let Some(other) = edges.find(|&other| other != edge) {
            return Err(Error::MixedTiles { first: edge, other });
        }
        let most: usize = samples.iter().map(|sample| sample.iter().map(|tiles| tiles.tiles).sum()).max().unwrap_or(0);
        let plane = edge * edge;
        let mut pixel_values = Vec::with_capacity(samples.len() * most * 3 * plane);
        let mut mask = Vec::with_capacity(samples.len() * most * plane);
        for (sample, images) in (1..).zip(samples) {
            for tiles in images {
                pixel_values.extend_from_slice(&tiles.pixels);
            }
            mask.resize(pixel_values.len() / 3, 1);
            pixel_values.resize(sample * most * 3 * plane, 0.0);
            mask.resize(sample * most * plane, 0);
        }
        let side = |side: fn(&Tiles) -> u32| samples.iter().map(|sample| sample.iter().map(side).collect()).collect();
        Ok(Self {
            shape: [samples.len(), most, 3, edge, edge],
            pixel_values,
            pixel_attention_mask: mask,
            rows: side(|tiles| tiles.grid.rows),
            cols: side(|tiles| tiles.grid.cols),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::TileBatch;
    use crate::{Error, TileGrid, Tiles};

    fn tiles(count: u32, edge: usize) -> Tiles {
        let grid = if count == 1 { TileGrid::WHOLE } else { TileGrid { rows: 1, cols: count - 1 } };
        Tiles { pixels: vec![0.5; count as usize * 3 * edge * edge], tiles: count as usize, edge, grid }
    }

    #[test]
    fn short_samples_are_zero_padded() {
        let batch = TileBatch::new(&[vec![tiles(3, 2), tiles(1, 2)], vec![], vec![tiles(1, 2)]]).unwrap();
        assert_eq!(batch.shape, [3, 4, 3, 2, 2]);
        assert_eq!(batch.pixel_values.iter().map(|&value| value as f64).sum::<f64>(), 0.5 * (4 + 1) as f64 * 12.0);
        assert_eq!(
            batch.pixel_attention_mask.chunks(16).map(|row| row.iter().sum::<i64>()).collect::<Vec<_>>(),
            [16, 0, 4]
        );
        assert_eq!((batch.rows, batch.cols), (vec![vec![1, 0], vec![], vec![0]], vec![vec![2, 0], vec![], vec![0]]));
    }

    #[test]
    fn empty_batches_and_mixed_tile_sizes_are_errors() {
        assert!(matches!(TileBatch::new(&[vec![], vec![]]), Err(Error::NoImages { rows: 2 })));
        let error = TileBatch::new(&[vec![tiles(1, 2)], vec![tiles(1, 3)]]).unwrap_err();
        assert!(matches!(error, Error::MixedTiles { first: 2, other: 3 }));
    }
}
