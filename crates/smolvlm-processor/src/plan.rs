//! What stands for the media in a prompt, known before any pixel is decoded.

use smolvlm_config::TileGrid;
use smolvlm_image::Tiles;
use smolvlm_video::{VideoPlan, VideoTiles};

/// What stands for one image or video in a prompt.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MediaPlan {
    /// The tiles of an image.
    Image(TileGrid),
    /// The frames of a video.
    Video(VideoPlan),
}

impl MediaPlan {
    /// Tiles that go through the vision encoder.
    pub fn tiles(&self) -> usize {
        match self {
            Self::Image(grid) => grid.tiles(),
            Self::Video(video) => video.stamps.len(),
        }
    }

    /// Frames, for a video.
    pub(crate) fn frames(&self) -> Option<usize> {
        match self {
            Self::Image(_) => None,
            Self::Video(video) => Some(video.stamps.len()),
        }
    }
}

/// One image or video as tiles of pixel values.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Media {
    /// An image.
    Image(Tiles),
    /// A video: one tile a frame.
    Video(VideoTiles),
}

impl Media {
    /// Pixel values, `[tiles, 3, edge, edge]`.
    pub fn pixels(&self) -> &[f32] {
        match self {
            Self::Image(image) => &image.pixels,
            Self::Video(video) => &video.pixels,
        }
    }

    /// Number of tiles.
    pub fn tiles(&self) -> usize {
        match self {
            Self::Image(image) => image.tiles,
            Self::Video(video) => video.plan.stamps.len(),
        }
    }

    /// Edge of a tile in pixels.
    pub fn edge(&self) -> usize {
        match self {
            Self::Image(image) => image.edge,
            Self::Video(video) => video.edge,
        }
    }

    /// What stands for it in the prompt.
    pub fn plan(&self) -> MediaPlan {
        match self {
            Self::Image(image) => MediaPlan::Image(image.grid),
            Self::Video(video) => MediaPlan::Video(video.plan.clone()),
        }
    }
}
