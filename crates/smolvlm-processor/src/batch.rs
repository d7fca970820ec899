//! Batched model inputs.

use crate::error::Error;
use crate::plan::Media;
use smolvlm_video::VideoNote;

/// Token ids and image tiles of a batch of prompts, in plain vectors.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Batch {
    /// Number of prompts.
    pub rows: usize,
    /// Tokens per row, padding included.
    pub len: usize,
    /// Token ids, `[rows, len]` row-major, padded on the left.
    pub input_ids: Vec<u32>,
    /// 1 for a token, 0 for padding; `[rows, len]`.
    pub attention_mask: Vec<u8>,
    /// The expanded prompts that were tokenized.
    pub prompts: Vec<String>,
    /// The images and videos of each row, unpadded, in prompt order.
    pub media: Vec<Vec<Media>>,
    /// Edge of a tile in pixels; 0 without images and videos.
    pub edge: usize,
}

/// `pixel_values` and `pixel_attention_mask` in the layout of the reference.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PixelValues {
    /// `[rows, max tiles per row, 3, edge, edge]`; in a batch with videos and no images, `[videos, max frames per
    /// video, 3, edge, edge]`.
    pub shape: [usize; 5],
    /// Pixel values; rows with fewer tiles are padded with zeros.
    pub data: Vec<f32>,
    /// 1 for a real pixel, 0 for padding; `[rows, max tiles per row, edge, edge]`. For videos it is 1 everywhere, as in
    /// the reference.
    pub mask: Vec<i64>,
}

impl Batch {
    /// Pads the prompts on the left to a common length. `pad` is called only if padding is needed.
    pub(crate) fn new(
        rows: &[Vec<u32>],
        prompts: Vec<String>,
        media: Vec<Vec<Media>>,
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
        let mut edges = media.iter().flatten().filter_map(Media::edge);
        let edge = edges.next().unwrap_or(0);
        if let Some(other) = edges.find(|&other| other != edge) {
            return Err(Error::TileEdges { first: edge, other });
        }
        Ok(Self { rows: rows.len(), len, input_ids, attention_mask, prompts, media, edge })
    }

    /// Number of tiles in the whole batch.
    pub fn tile_count(&self) -> usize {
        self.all_media().map(Media::tiles).sum()
    }

    /// Iterates over the images and videos of all rows, in the order in which their features enter the prompts.
    pub fn all_media(&self) -> impl Iterator<Item = &Media> {
        self.media.iter().flatten()
    }

    /// Notes for the user about the media of a row, which are usable all the same; empty for a row that does not exist.
    pub fn notes(&self, row: usize) -> Vec<VideoNote> {
        self.media.get(row).into_iter().flatten().flat_map(Media::notes).cloned().collect()
    }

    /// Number of tokens of a row without padding; 0 for a row that does not exist.
    pub fn prompt_len(&self, row: usize) -> usize {
        let start = row.saturating_mul(self.len);
        let mask = self.attention_mask.get(start..start.saturating_add(self.len));
        mask.unwrap_or_default().iter().filter(|&&real| real == 1).count()
    }

    /// All tiles in one padded array in the layout of the reference; `None` without images and videos, and with
    /// precomputed media, which have no pixels.
    pub fn pixel_values(&self) -> Option<PixelValues> {
        self.all_media().next()?;
        if self.all_media().any(|media| media.edge().is_none()) {
            return None;
        }
        let only_videos = self.all_media().all(|media| matches!(media, Media::Video(_)));
        // The first axis is the batch row for images and the video for videos.
        let samples: Vec<&[Media]> = match only_videos {
            true => self.media.iter().flat_map(|row| row.chunks(1)).collect(),
            false => self.media.iter().map(Vec::as_slice).collect(),
        };
        let tiles = |sample: &&[Media]| sample.iter().map(Media::tiles).sum::<usize>();
        let most = samples.iter().map(tiles).max()?;
        let plane = self.edge * self.edge;
        let mut data = Vec::with_capacity(samples.len() * most * 3 * plane);
        let mut mask = Vec::with_capacity(samples.len() * most * plane);
        for (count, sample) in (1..).zip(&samples) {
            sample.iter().for_each(|media| data.extend_from_slice(media.pixels()));
            mask.resize(data.len() / 3, 1);
            data.resize(count * most * 3 * plane, 0.0);
            mask.resize(count * most * plane, i64::from(only_videos));
        }
        Some(PixelValues { shape: [samples.len(), most, 3, self.edge, self.edge], data, mask })
    }
}
