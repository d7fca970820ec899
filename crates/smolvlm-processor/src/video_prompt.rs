//! Prompt text of videos (transformers 5.24.0, processing_smolvlm.py, `replace_video_token`).

use smolvlm_video::{FrameStamp, VideoPlan};

use crate::words::cardinal;

/// Prompt text for videos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum VideoPromptStyle {
    /// States each video's own number of frames and the timestamps of its stream.
    #[default]
    PerVideo,
    /// States what the reference does: for every video the largest number of frames in the batch, and timestamps
    /// computed from the average frame rate. Both differ from [`VideoPromptStyle::PerVideo`] only in batches of videos
    /// with different numbers of frames, and for streams with a variable frame rate.
    Reference,
}

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

impl VideoPromptStyle {
    fn seconds(self, stamp: &FrameStamp, video: &VideoPlan) -> u64 {
        match self {
            Self::PerVideo => stamp.seconds(video.metadata.fps),
            Self::Reference => stamp.counted_seconds(video.metadata.fps),
        }
    }

    /// The text before the first frame, with the number of frames and the duration of the video.
    pub(crate) fn intro(self, video: &VideoPlan, announced: usize) -> String {
        let last = || video.stamps.last().map_or(0, |stamp| self.seconds(stamp, video));
        let seconds = video.metadata.duration.map_or_else(last, |duration| duration.floor());
        let duration = duration(seconds);
        let count = cardinal(announced);
        format!("You are provided the following series of {count} frames from a {duration} [H:MM:SS] video.\n")
    }

    /// The text before a frame, with its timestamp in minutes and seconds.
    pub(crate) fn frame(self, stamp: &FrameStamp, video: &VideoPlan) -> String {
        let seconds = self.seconds(stamp, video);
        format!("\nFrame from {:02}:{:02}:", seconds / 60, seconds % 60)
    }
}

/// The text after the last frame.
pub(crate) const OUTRO: &str = "\n\n";

/// Formats seconds as `H:MM:SS`, preceded by the number of days from one day on, like a Python `timedelta`.
fn duration(seconds: u64) -> String {
    let (days, rest) = (seconds / SECONDS_PER_DAY, seconds % SECONDS_PER_DAY);
    let time = format!("{}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    match days {
        0 => time,
        1 => format!("1 day, {time}"),
        _ => format!("{days} days, {time}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{VideoPromptStyle, duration};
    use smolvlm_video::{FrameStamp, Ratio, VideoMetadata, VideoPlan};

    #[test]
    fn durations_match_python() {
        assert_eq!([5, 4000, 86_399].map(duration), ["0:00:05", "1:06:40", "23:59:59"]);
        assert_eq!([90_000, 200_000].map(duration), ["1 day, 1:00:00", "2 days, 7:33:20"]);
    }

    #[test]
    fn stream_timestamps_take_precedence_over_the_average_rate() {
        let stamp = FrameStamp { index: 8, time: Some(Ratio::whole(3700)) };
        let metadata = VideoMetadata { frames: 9, fps: Some(Ratio::whole(8)), duration: None, height: 1, width: 1 };
        let video = VideoPlan { stamps: vec![stamp], metadata, notes: Vec::new() };
        assert_eq!(VideoPromptStyle::PerVideo.frame(&stamp, &video), "\nFrame from 61:40:");
        assert_eq!(VideoPromptStyle::Reference.frame(&stamp, &video), "\nFrame from 00:01:");
        assert!(VideoPromptStyle::PerVideo.intro(&video, 21).contains("twenty-one frames from a 1:01:40 [H:MM:SS]"));
    }
}
