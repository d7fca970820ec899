//! The words around a video's frames (transformers 5.24.0, processing_smolvlm.py, `replace_video_token`).

use smolvlm_video::{FrameStamp, VideoPlan};

use crate::words::cardinal;

/// What the prompt says about a video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum VideoWords {
    /// Each video's own number of frames, and the times that its stream gives them.
    #[default]
    Own,
    /// What the reference says, word for word: the largest number of frames in the batch for every video, and times
    /// counted from the average rate. Both differ from [`VideoWords::Own`] only in batches of videos with different numbers
    /// of frames, and for streams of variable rate.
    Reference,
}

const SECONDS_A_DAY: u64 = 24 * 60 * 60;

impl VideoWords {
    fn seconds(self, stamp: &FrameStamp, video: &VideoPlan) -> u64 {
        match self {
            Self::Own => stamp.seconds(video.metadata.fps),
            Self::Reference => stamp.counted_seconds(video.metadata.fps),
        }
    }

    /// Before the first frame: `announced` frames, and how long the video is.
    pub(crate) fn intro(self, video: &VideoPlan, announced: usize) -> String {
        let last = || video.stamps.last().map_or(0, |stamp| self.seconds(stamp, video));
        let seconds = video.metadata.duration.map_or_else(last, |duration| duration.floor());
        let duration = duration(seconds);
        let count = cardinal(announced);
        format!("You are provided the following series of {count} frames from a {duration} [H:MM:SS] video.\n")
    }

    /// Before a frame: when it is shown, in minutes and seconds.
    pub(crate) fn frame(self, stamp: &FrameStamp, video: &VideoPlan) -> String {
        let seconds = self.seconds(stamp, video);
        format!("\nFrame from {:02}:{:02}:", seconds / 60, seconds % 60)
    }
}

/// After the last frame.
pub(crate) const OUTRO: &str = "\n\n";

/// `H:MM:SS`, from one day on with the days before it, as Python prints a `timedelta`.
fn duration(seconds: u64) -> String {
    let (days, rest) = (seconds / SECONDS_A_DAY, seconds % SECONDS_A_DAY);
    let time = format!("{}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    match days {
        0 => time,
        1 => format!("1 day, {time}"),
        _ => format!("{days} days, {time}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{VideoWords, duration};
    use smolvlm_video::{FrameStamp, Ratio, VideoMetadata, VideoPlan};

    #[test]
    fn durations_are_written_as_python_does() {
        assert_eq!([5, 4000, 86_399].map(duration), ["0:00:05", "1:06:40", "23:59:59"]);
        assert_eq!([90_000, 200_000].map(duration), ["1 day, 1:00:00", "2 days, 7:33:20"]);
    }

    #[test]
    fn times_of_the_stream_win_over_the_average_rate() {
        let stamp = FrameStamp { index: 8, time: Some(Ratio::whole(3700)) };
        let metadata = VideoMetadata { frames: 9, fps: Some(Ratio::whole(8)), duration: None, height: 1, width: 1 };
        let video = VideoPlan { stamps: vec![stamp], metadata, notes: Vec::new() };
        assert_eq!(VideoWords::Own.frame(&stamp, &video), "\nFrame from 61:40:");
        assert_eq!(VideoWords::Reference.frame(&stamp, &video), "\nFrame from 00:01:");
        assert!(VideoWords::Own.intro(&video, 21).contains("twenty-one frames from a 1:01:40 [H:MM:SS]"));
    }
}
