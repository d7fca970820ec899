//! What stands for the media in a prompt, known before any pixel is decoded.

use smolvlm_config::TileGrid;
use smolvlm_image::Tiles;
use smolvlm_video::{VideoNote, VideoPlan, VideoTiles};

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

    /// What the user should know about the medium although it can be used, such as that a video is cut off.
    pub fn notes(&self) -> &[VideoNote] {
        match self {
            Self::Image(_) => &[],
            Self::Video(video) => &video.notes,
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
    /// A medium that came as [`Content::Known`](crate::Content::Known): without pixels.
    Known(MediaPlan),
}

impl Media {
    /// Pixel values, `[tiles, 3, edge, edge]`; nothing for a known medium.
    pub fn pixels(&self) -> &[f32] {
        match self {
            Self::Known(_) => &[],
            Self::Image(image) => &image.pixels,
            Self::Video(video) => &video.pixels,
        }
    }

    /// Number of tiles.
    pub fn tiles(&self) -> usize {
        match self {
            Self::Image(image) => image.tiles,
            Self::Video(video) => video.plan.stamps.len(),
            Self::Known(plan) => plan.tiles(),
        }
    }

    /// Edge of a tile in pixels; none for a known medium.
    pub fn edge(&self) -> Option<usize> {
        match self {
            Self::Image(image) => Some(image.edge),
            Self::Video(video) => Some(video.edge),
            Self::Known(_) => None,
        }
    }

    /// What the user should know about it although it can be used; nothing for a known medium.
    pub fn notes(&self) -> &[VideoNote] {
        match self {
            Self::Image(_) | Self::Known(_) => &[],
            Self::Video(video) => &video.plan.notes,
        }
    }

    /// What stands for it in the prompt.
    pub fn plan(&self) -> MediaPlan {
        match self {
            Self::Image(image) => MediaPlan::Image(image.grid),
            Self::Video(video) => MediaPlan::Video(video.plan.clone()),
            Self::Known(plan) => plan.clone(),
        }
    }
}
