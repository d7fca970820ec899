//! Video containers, independent of the decoder.

use crate::index::{Index, Packet, PacketScan};
use crate::limits::Deadline;
use crate::ratio::TimeBase;
use crate::structure::Structure;
use crate::timeline::repair;
use crate::{Error, FrameSink, FrameSource, FrameStamp, Limits, Ratio, VideoMetadata, VideoNote};
use std::fmt;
use std::fs::File;
use std::io::{self, Cursor};
use std::path::PathBuf;
use std::sync::Arc;

/// Minimum gap in the times of a transport or program stream, in seconds, that marks another recording, as in FFmpeg.
const MAX_GAP: u64 = 10;

/// Frames per second of a stream without usable times or a declared rate.
const DEFAULT_RATE: u64 = 25;

/// Maximum plausible declared rate; higher ones were computed from unusable times.
const MAX_DECLARED_RATE: f64 = 120.0;

/// Average frames per second above which times are unusable, unless the stream declares at least half this rate:
/// writers without times store zeros or increments of the smallest unit.
const UNUSABLE_RATE: f64 = 1000.0;

/// The source of a container's bytes. Every pass reopens it.
#[derive(Debug, Clone)]
pub(crate) enum Bytes {
    File(PathBuf),
    Memory(Arc<[u8]>),
}

impl Bytes {
    fn structure(&self) -> io::Result<Structure> {
        match self {
            Self::File(path) => Structure::of(&mut io::BufReader::new(File::open(path)?)),
            Self::Memory(bytes) => Structure::of(&mut Cursor::new(bytes)),
        }
    }
}

/// Metadata of a container's video stream.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    /// Index of the stream in the container.
    pub(crate) index: usize,
    /// Unit of its times in seconds.
    pub(crate) time_base: TimeBase,
    /// Time of the first frame.
    pub(crate) start: Option<i64>,
    /// Duration in the header.
    pub(crate) duration: Option<i64>,
    /// Average frames per second in the header.
    pub(crate) average_rate: Option<Ratio>,
    /// The lowest rate at which all times can be represented.
    pub(crate) base_rate: Option<Ratio>,
    /// Number of frames in the header.
    pub(crate) declared: Option<u64>,
    /// Height in pixels as stored.
    pub(crate) height: u32,
    /// Width in pixels as stored.
    pub(crate) width: u32,
    /// EXIF orientation (1 to 8) to apply.
    pub(crate) exif: u8,
    /// Whether the format is a transport or program stream, whose clock may restart.
    pub(crate) may_restart: bool,
}

impl Stream {
    /// Whether the clock may restart within a file of this format, given FFmpeg's name of it.
    pub(crate) fn may_restart(format: &str) -> bool {
        matches!(format, "mpegts" | "mpegtsraw" | "mpeg")
    }
}

/// Decodes a container's video stream. Times are in the stream's time base.
pub(crate) trait Decoder: Send + fmt::Debug {
    /// The stream's metadata.
    fn stream(&self) -> &Stream;

    /// Reads all packets of the stream in file order.
    fn packets(&mut self, deadline: &Deadline, each: &mut dyn FnMut(Packet) -> Result<(), Error>) -> Result<(), Error>;

    /// Decodes all frames, or those from the key frame at time `from` on, and passes on their times.
    fn decode_times(
        &mut self,
        from: Option<(i64, &Index)>,
        deadline: &Deadline,
        each: &mut dyn FnMut(Option<i64>) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// Decodes the frames at ascending `indices`, applies their orientation and passes them to the sink. For a packet
    /// without a frame, the next frame is used.
    fn read(
        &mut self,
        index: &Index,
        indices: &[usize],
        deadline: &Deadline,
        sink: &mut FrameSink<'_>,
    ) -> Result<(), Error>;
}

/// A container with an index of its frames.
#[derive(Debug)]
pub(crate) struct Container<D> {
    decoder: D,
    index: Index,
    metadata: VideoMetadata,
    /// The frame rate assumed for a stream without usable times.
    assumed_rate: Option<Ratio>,
    notes: Vec<VideoNote>,
    limits: Limits,
}

impl<D: Decoder> Container<D> {
    /// Opens a container and indexes its frames from the packets of the whole file. Frames are decoded only if the
    /// packets do not suffice.
    pub(crate) fn open(
        bytes: Bytes,
        limits: &Limits,
        decoder: impl FnOnce(Bytes, &Limits, &Deadline) -> Result<D, Error>,
    ) -> Result<Self, Error> {
        let deadline = Deadline::of(limits);
        let structure = bytes.structure().unwrap_or(Structure::Unknown);
        let explain = |error| match (error, structure) {
            (Error::Decode { .. } | Error::NoVideoStream { .. }, Structure::MissingIndex) => Error::MissingIndex,
            (Error::Decode { .. } | Error::NoVideoStream { .. }, Structure::Truncated) => Error::NoCompleteFrame,
            (other, _) => other,
        };
        let mut decoder = decoder(bytes, limits, &deadline).map_err(explain)?;
        let (mut index, is_trimmed) = find_frames(&mut decoder, structure, limits, &deadline)?;
        if structure == Structure::PartialFrame && !is_trimmed {
            index.frames = index.frames.saturating_sub(1);
            index.times.truncate(index.frames);
        }
        if index.frames == 0 {
            return Err(if structure == Structure::Complete { Error::NoFrames } else { Error::NoCompleteFrame });
        }
        let stream = decoder.stream();
        let is_truncated = is_trimmed || matches!(structure, Structure::Truncated | Structure::PartialFrame);
        let declared = stream.declared.filter(|&declared| declared > index.frames as u64);
        let note = VideoNote::Truncated { frames: index.frames, declared };
        let mut notes = if is_truncated { vec![note] } else { Vec::new() };
        let assumed_rate = lacks_times(stream, &index).then(|| declared_rate(stream));
        notes.extend(assumed_rate.map(|rate| VideoNote::UnusableTimes { rate }));
        let metadata = metadata(stream, &index, assumed_rate);
        Ok(Self { decoder, index, metadata, assumed_rate, notes, limits: limits.clone() })
    }

    /// Time of a frame since the first one.
    fn time(&self, at: usize) -> Option<Ratio> {
        if let Some(rate) = self.assumed_rate {
            return rate.time_of(at as u64);
        }
        let since = self.index.times.get(at)?.checked_sub(*self.index.times.first()?)?;
        self.decoder.stream().time_base.seconds(since)
    }
}

/// Indexes the frames of a container. Returns whether undecodable frames at the end were removed, too.
fn find_frames(
    decoder: &mut impl Decoder,
    structure: Structure,
    limits: &Limits,
    deadline: &Deadline,
) -> Result<(Index, bool), Error> {
    let stream = decoder.stream();
    let max_gap = stream.may_restart.then(|| stream.time_base.units(Ratio::whole(MAX_GAP))).flatten();
    let frame = frame_units(stream);
    // These formats do not declare the size of a frame: decoders fill in the rest of a partial one.
    let is_partial = structure == Structure::Truncated && stream.may_restart;
    let mut scan = PacketScan::new(stream.start, max_gap);
    decoder.packets(deadline, &mut |packet| scan.push(packet, limits.max_frames))?;
    if is_partial {
        scan.drop_last();
    }
    let is_whole = structure == Structure::Complete;
    // With unusable times, packets without a frame cannot be recognized.
    let scanned = scan.finish().filter(|index| !has_unusable_times(decoder.stream(), index));
    match scanned {
        Some(index) if is_whole || index.frames == 0 => Ok((index, false)),
        Some(mut index) if index.by_time => {
            // The last packets may be incomplete. The last key frame, too, so that decoding starts at the one before
            // it.
            let from = index.keys.len().checked_sub(2).and_then(|at| index.keys.get(at)).copied();
            let mut decoded = Vec::new();
            if let Some(from) = from {
                decoder.decode_times(Some((from, &index)), deadline, &mut |time| {
                    decoded.extend(time);
                    Ok(())
                })?;
            }
            if !from.is_some_and(|from| decoded.iter().any(|&time| time <= from)) {
                // The seek went too far, as in formats without an exact index.
                decoded.clear();
                decoder.decode_times(None, deadline, &mut |time| {
                    decoded.extend(time);
                    Ok(())
                })?;
            }
            let key = decoded.iter().min().copied().unwrap_or(i64::MIN);
            let before = index.frames;
            index.trim(key, &decoded);
            let is_trimmed = index.frames < before;
            Ok((index, is_trimmed))
        }
        counted => {
            let mut times = Vec::new();
            decoder.decode_times(None, deadline, &mut |time| {
                times.push(time);
                limits.check_frames(times.len())
            })?;
            // If more packets are without a frame, they are fields or hidden frames.
            let is_trimmed = counted.is_some_and(|index| index.frames == times.len() + 1);
            if is_partial {
                times.pop();
            }
            Ok((Index::counted(times.len(), repair(&times, frame, max_gap)), is_trimmed))
        }
    }
}

/// The duration of a frame at the stream's rate.
fn frame_units(stream: &Stream) -> Option<i64> {
    stream.time_base.units(stream.average_rate.or(stream.base_rate)?.time_of(1)?)
}

/// Whether a stream has neither usable times nor a rate.
fn lacks_times(stream: &Stream, index: &Index) -> bool {
    let has_no_timing = index.times.is_empty() && stream.average_rate.or(stream.base_rate).is_none();
    index.frames > 1 && (has_no_timing || has_unusable_times(stream, index))
}

/// Whether the times of a stream are all equal or implausibly close to each other.
fn has_unusable_times(stream: &Stream, index: &Index) -> bool {
    let (Some(first), Some(last)) = (index.times.first(), index.times.last()) else { return false };
    let steps = index.times.len() as f64 - 1.0;
    let span = last.checked_sub(*first).and_then(|span| stream.time_base.seconds(span)).map_or(f64::MAX, Ratio::as_f64);
    let is_slow = stream.average_rate.is_none_or(|rate| rate.as_f64() < UNUSABLE_RATE / 2.0);
    steps >= 1.0 && span * UNUSABLE_RATE <= steps && is_slow
}

/// The declared rate of a stream if it is plausible, otherwise 25 frames per second.
fn declared_rate(stream: &Stream) -> Ratio {
    let rates = [stream.average_rate, stream.base_rate].into_iter().flatten();
    let mut usual = rates.filter(|rate| rate.as_f64() <= MAX_DECLARED_RATE);
    usual.next().unwrap_or(Ratio::whole(DEFAULT_RATE))
}

fn metadata(stream: &Stream, index: &Index, assumed_rate: Option<Ratio>) -> VideoMetadata {
    let seconds = |units| stream.time_base.seconds(units);
    let counted = index.span(frame_units(stream)).and_then(seconds).filter(|span| span.numerator() > 0);
    let duration = counted.or_else(|| seconds(stream.duration?));
    let counted_rate = || {
        let span = duration.filter(|span| span.numerator() > 0)?;
        Ratio::new((index.frames as u64).checked_mul(span.denominator())?, span.numerator())
    };
    let fps = stream.average_rate.or_else(counted_rate).or(stream.base_rate);
    let duration = duration.or_else(|| fps?.time_of(index.frames as u64));
    let (fps, duration) = match assumed_rate {
        Some(rate) => (Some(rate), rate.time_of(index.frames as u64)),
        None => (fps, duration),
    };
    let (height, width) = (stream.height, stream.width);
    let (height, width) = if stream.exif >= 5 { (width, height) } else { (height, width) };
    VideoMetadata { frames: index.frames, fps, duration, height, width }
}

impl<D: Decoder> FrameSource for Container<D> {
    fn metadata(&self) -> &VideoMetadata {
        &self.metadata
    }

    fn stamp(&self, index: usize) -> FrameStamp {
        FrameStamp { index, time: self.time(index) }
    }

    fn notes(&self) -> &[VideoNote] {
        &self.notes
    }

    fn read(&mut self, indices: &[usize], sink: &mut FrameSink<'_>) -> Result<(), Error> {
        if let Some(&index) = indices.iter().find(|&&index| index >= self.index.frames) {
            return Err(Error::MissingFrame { index, frames: self.index.frames });
        }
        self.decoder.read(&self.index, indices, &Deadline::of(&self.limits), sink)
    }
}
