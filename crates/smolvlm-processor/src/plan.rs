//! Media plans: the tiles and frames of media, known before any pixel is decoded.

use smolvlm_config::TileGrid;
use smolvlm_image::Tiles;
use smolvlm_video::{VideoNote, VideoPlan, VideoTiles};

/// The tiles or frames of one image or video.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum MediaPlan {
    /// The tiles of an image.
    Image(TileGrid),
    /// The frames of a video.
    Video(VideoPlan),
}

impl MediaPlan {
    /// Number of tiles for the vision encoder.
    pub fn tiles(&self) -> usize {
        match self {
            Self::Image(grid) => grid.tiles(),
            Self::Video(video) => video.stamps.len(),
        }
    }

    /// Notes for the user about a usable medium, for instance that a video is truncated.
    pub fn notes(&self) -> &[VideoNote] {
        match self {
            Self::Image(_) => &[],
            Self::Video(video) => &video.notes,
        }
    }

    /// Number of frames of a video; none for an image.
    pub(crate) fn frames(&self) -> Option<usize> {
        match self {
            Self::Image(_) => None,
            Self::Video(video) => Some(video.stamps.len()),
        }
    }
}

/// One image or video as preprocessed tiles.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Media {
    /// An image.
    Image(Tiles),
    /// A video, with one tile per frame.
    Video(VideoTiles),
    /// A medium given as [`Content::Precomputed`](crate::Content::Precomputed), without pixels.
    Precomputed(MediaPlan),
}

impl Media {
    /// Pixel values, `[tiles, 3, edge, edge]`; empty for a precomputed medium.
    pub fn pixels(&self) -> &[f32] {
        match self {
            Self::Precomputed(_) => &[],
            Self::Image(image) => &image.pixels,
            Self::Video(video) => &video.pixels,
        }
    }

    /// Number of tiles.
    pub fn tiles(&self) -> usize {
        match self {
            Self::Image(image) => image.tiles,
            Self::Video(video) => video.plan.stamps.len(),
            Self::Precomputed(plan) => plan.tiles(),
        }
    }

    /// Edge of a tile in pixels; none for a precomputed medium.
    pub fn edge(&self) -> Option<usize> {
        match self {
            Self::Image(image) => Some(image.edge),
            Self::Video(video) => Some(video.edge),
            Self::Precomputed(_) => None,
        }
    }

    /// Notes for the user about a usable medium; empty for a precomputed one.
    pub fn notes(&self) -> &[VideoNote] {
        match self {
            Self::Image(_) | Self::Precomputed(_) => &[],
            Self::Video(video) => &video.plan.notes,
        }
    }

    /// The plan of the medium.
    pub fn plan(&self) -> MediaPlan {
        match self {
            Self::Image(image) => MediaPlan::Image(image.grid),
            Self::Video(video) => MediaPlan::Video(video.plan.clone()),
            Self::Precomputed(plan) => plan.clone(),
        }
    }
}
