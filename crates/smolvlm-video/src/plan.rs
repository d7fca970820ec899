//! Sampling of frames.

use crate::{Ratio, VideoMetadata};
use smolvlm_config::VideoProcessorConfig;

/// Default of `fps`, as in the released configurations.
const DEFAULT_FPS: f64 = 1.0;

/// Default of `num_frames`, as in the released configurations.
pub(crate) const DEFAULT_FRAMES: u32 = 64;

/// Maximum number of samples, more than the default limit of a video's frames.
const MAX_SAMPLES: f64 = (1_u32 << 24) as f64;

/// The frames of a video to sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FramePlan {
    /// Indices of the frames in display order, ascending.
    pub indices: Vec<usize>,
}

impl FramePlan {
    /// The plan for a video: [`sample`](Self::sample) if its rate is known, otherwise every frame, since the user chose
    /// frames without times.
    pub fn new(video: &VideoMetadata, config: &VideoProcessorConfig) -> Self {
        match video.fps {
            Some(fps) => Self::sample(video, fps, config),
            None => Self { indices: (0..video.frames).collect() },
        }
    }

    /// At most `count` frames, evenly spaced from the first to the last one regardless of their times.
    pub fn evenly(frames: usize, count: u32) -> Self {
        let Some(last) = frames.checked_sub(1) else {
            return Self { indices: Vec::new() };
        };
        // More would repeat frames.
        Self { indices: spread(0, last, frames.min(count as usize)) }
    }

    /// Samples as in the reference (transformers 5.24.0, `SmolVLMVideoProcessor.sample_frames`): `fps` frames per
    /// second, at most `num_frames`, evenly spaced. From videos of more than `num_frames * fps` seconds, `skip_secs`
    /// are skipped at both ends. All computations are in f64 with halves rounded to even. If the configuration has no
    /// `fps` or `num_frames`, for which the reference fails, the defaults are 1 frame per second and 64 frames.
    pub fn sample(video: &VideoMetadata, fps: Ratio, config: &VideoProcessorConfig) -> Self {
        let Some(last) = video.frames.checked_sub(1) else {
            return Self { indices: Vec::new() };
        };
        let rate = fps.as_f64();
        let duration = video.duration.map_or_else(|| video.frames as f64 / rate, Ratio::as_f64);
        let target = config.fps.unwrap_or(DEFAULT_FPS);
        let most = f64::from(config.num_frames.unwrap_or(DEFAULT_FRAMES));
        let wanted = (target * duration).round_ties_even().min(most).clamp(1.0, MAX_SAMPLES) as usize;

        let whole = (0, last);
        let skip = config.skip_secs;
        let (first, end) = if skip > 0.0 && duration - 2.0 * skip > most * target {
            // The casts truncate, and saturate a negative end to zero.
            ((skip * rate) as usize, ((video.frames as f64 - skip * rate) as usize).min(last))
        } else {
            whole
        };
        let (first, end) = if first >= end { whole } else { (first, end) };
        Self { indices: spread(first, end, wanted) }
    }
}

/// `numpy.unique(numpy.linspace(first, last, count, dtype=int))`, in numpy's order of operations: evenly spaced
/// integers, rounded down, without repetitions.
fn spread(first: usize, last: usize, count: usize) -> Vec<usize> {
    if count <= 1 {
        return vec![first];
    }
    let step = (last - first) as f64 / (count - 1) as f64;
    let at = |k: usize| if k + 1 == count { last } else { (k as f64 * step + first as f64).floor() as usize };
    let mut indices: Vec<usize> = Vec::new();
    for index in (0..count).map(at) {
        if indices.last() != Some(&index) {
            indices.push(index);
        }
    }
    indices
}

#[cfg(test)]
mod tests {
    use super::FramePlan;
    use crate::{Ratio, VideoMetadata};
    use smolvlm_config::VideoProcessorConfig;

    fn indices(frames: usize, fps: f64, target: f64, most: u32) -> Vec<usize> {
        let fps = Ratio::from_f64(fps);
        let video = VideoMetadata { frames, fps, duration: None, height: 1, width: 1 };
        let config =
            VideoProcessorConfig { fps: Some(target), num_frames: Some(most), ..VideoProcessorConfig::default() };
        FramePlan::new(&video, &config).indices
    }

    /// Results of the reference for one frame per second, at most 64.
    #[test]
    fn one_frame_per_second_matches_the_reference() {
        for frames in 1..=44 {
            assert_eq!(indices(frames, 30.0, 1.0, 64), [0], "{frames}");
        }
        assert_eq!(indices(45, 30.0, 1.0, 64), [0, 44]);
        assert_eq!(indices(75, 30.0, 1.0, 64), [0, 74]);
        assert_eq!(indices(90, 30.0, 1.0, 64), [0, 44, 89]);
        assert_eq!(indices(100, 24.0, 1.0, 64), [0, 33, 66, 99]);
        assert_eq!(indices(240, 24.0, 1.0, 64), [0, 26, 53, 79, 106, 132, 159, 185, 212, 239]);
        assert_eq!(indices(300, 25.0, 1.0, 64), [0, 27, 54, 81, 108, 135, 163, 190, 217, 244, 271, 299]);
        assert_eq!(indices(5, 0.5, 1.0, 64), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn ends_of_long_videos_are_skipped() {
        let starts = |frames| indices(frames, 30.0, 1.0, 64)[0];
        assert_eq!((starts(1980), starts(1981)), (0, 30));
        assert_eq!(*indices(1981, 30.0, 1.0, 64).last().unwrap(), 1951);
        let long = indices(3600, 30.0, 1.0, 64);
        assert_eq!(
            (long.len(), &long[..6], &long[60..]),
            (64, &[30, 86, 142, 198, 254, 310][..], &[3401, 3457, 3513, 3570][..])
        );
        let slow = indices(2500, 2.5, 1.0, 64);
        assert_eq!((slow[0], *slow.last().unwrap()), (2, 2497));
    }

    #[test]
    fn small_num_frames_and_fps_match_the_reference() {
        assert_eq!(indices(300, 30.0, 2.0, 8), [0, 42, 85, 128, 170, 213, 256, 299]);
        assert_eq!(indices(303, 30.0, 1.0, 8), [30, 64, 99, 134, 168, 203, 238, 273]);
        assert_eq!(indices(300, 30.0, 0.0, 64), [30]);
        assert_eq!(indices(300, 30.0, 1.0, 0), [30]);
    }

    #[test]
    fn evenly_spaced_frames_include_both_ends() {
        let evenly = |frames, count| FramePlan::evenly(frames, count).indices;
        assert_eq!(evenly(10, 4), [0, 3, 6, 9]);
        assert_eq!(evenly(2000, 5), [0, 499, 999, 1499, 1999]);
        assert_eq!((evenly(3, 8), evenly(3, 1), evenly(3, 0)), (vec![0, 1, 2], vec![0], vec![0]));
        assert!(evenly(0, 4).is_empty());
        assert_eq!(evenly(3, u32::MAX), [0, 1, 2]);
    }

    #[test]
    fn without_a_rate_all_frames_are_used() {
        let video = VideoMetadata { frames: 3, fps: None, duration: None, height: 1, width: 1 };
        assert_eq!(FramePlan::new(&video, &VideoProcessorConfig::default()).indices, [0, 1, 2]);
        let nothing = VideoMetadata { frames: 0, fps: Some(Ratio::whole(30)), ..video };
        assert!(FramePlan::new(&nothing, &VideoProcessorConfig::default()).indices.is_empty());
    }

    #[test]
    fn random_plans_ascend_within_the_video() {
        let mut state = 1_u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..20_000 {
            let frames = 1 + next(4000) as usize;
            let fps = Ratio::new(next(200_000), 1 + next(2_000));
            let duration = [None, Ratio::new(next(100_000), 1 + next(100))][next(2) as usize];
            let video = VideoMetadata { frames, fps, duration, height: 1, width: 1 };
            let config = VideoProcessorConfig {
                fps: Some(next(100) as f64 / 10.0),
                num_frames: Some(next(100) as u32),
                skip_secs: next(40) as f64 / 10.0,
                ..VideoProcessorConfig::default()
            };
            let indices = FramePlan::new(&video, &config).indices;
            assert!(!indices.is_empty() && indices.is_sorted_by(|a, b| a < b), "{video:?} {config:?}");
            assert!(indices.last().is_some_and(|&last| last < frames), "{video:?} {config:?}");
        }
    }
}
