//! Model inputs of a batch of prompts.

use smolvlm_image::{TileBatch, Tiles};

use crate::error::Error;

/// Token ids and tiles of several prompts, in plain vectors.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Batch {
    /// Prompts.
    pub rows: usize,
    /// Tokens of each row, padding included.
    pub len: usize,
    /// Token ids, `[rows, len]` in row order, padded on the left.
    pub input_ids: Vec<u32>,
    /// 1 for a token, 0 for padding; `[rows, len]`.
    pub attention_mask: Vec<u8>,
    /// The expanded prompts that were tokenised.
    pub prompts: Vec<String>,
    /// The tiles of each image of each row, unpadded, in the order of the prompt.
    pub images: Vec<Vec<Tiles>>,
    /// Edge of a tile in pixels; 0 without images.
    pub edge: usize,
}

/// `pixel_values` and `pixel_attention_mask` as the reference lays them out.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PixelValues {
    /// `[rows, most tiles of a row, 3, edge, edge]`.
    pub shape: [usize; 5],
    /// Pixels; rows with fewer tiles end in zeros.
    pub data: Vec<f32>,
    /// 1 for each real pixel, 0 for padding; `[rows, most tiles of a row, edge, edge]`.
    pub mask: Vec<i64>,
}

impl Batch {
    /// Pads the prompts on the left to one length. `pad` is asked for only where padding is needed.
    pub(crate) fn new(
        rows: &[Vec<u32>],
        prompts: Vec<String>,
        images: Vec<Vec<Tiles>>,
        pad: impl FnOnce() -> Result<u32, Error>,
    ) -> Result<Self, Error> {
        let len = rows.iter().map(Vec::len).max().unwrap_or(0);
        let pad = if rows.iter().all(|row| row.len() == len) { 0 } else { pad()? };
        let mut input_ids = Vec::with_capacity(rows.len() * len);
        let mut attention_mask = Vec::with_capacity(rows.len() * len);
        for row in rows {
            let padding = len - row.len();
            input_ids.extend(std::iter::repeat_n(pad, padding).chain(row.iter().copied()));
            attention_mask.extend(std::iter::repeat_n(0, padding));
            attention_mask.extend(std::iter::repeat_n(1, row.len()));
        }
        let edge = images.iter().flatten().next().map_or(0, |tiles| tiles.edge);
        Ok(Self { rows: rows.len(), len, input_ids, attention_mask, prompts, images, edge })
    }

    /// Tiles of the whole batch.
    pub fn tile_count(&self) -> usize {
        self.tiles().map(|tiles| tiles.tiles).sum()
    }

    /// The images of all rows, in the order in which their features enter the prompts.
    pub fn tiles(&self) -> impl Iterator<Item = &Tiles> {
        self.images.iter().flatten()
    }

    /// Tokens of a row without its padding; 0 for a row that does not exist.
    pub fn prompt_len(&self, row: usize) -> usize {
        let start = row.saturating_mul(self.len);
        let mask = self.attention_mask.get(start..start.saturating_add(self.len));
        mask.unwrap_or_default().iter().filter(|&&real| real == 1).count()
    }

    /// All tiles in one padded array, for runtimes that want the reference's layout; `None` without images.
    pub fn pixel_values(&self) -> Option<PixelValues> {
        let batch = TileBatch::new(&self.images).ok()?;
        Some(PixelValues { shape: batch.shape, data: batch.pixel_values, mask: batch.pixel_attention_mask })
    }
}
