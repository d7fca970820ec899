//! Video containers, whichever way they are decoded.

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

/// Gaps in the times of a transport or program stream that mean another recording, in seconds, as FFmpeg has it.
const MAX_GAP: u64 = 10;

/// Frames per second of a stream whose times cannot be used and that declares no rate.
const DEFAULT_RATE: u64 = 25;

/// Highest declared rate that is taken for times that cannot be used; higher ones were computed from those times.
const MAX_DECLARED_RATE: f64 = 120.0;

/// Frames per second, on average over all times, from which the times cannot be used unless the stream declares a rate of at least
/// half of it: a writer that has no times writes zeros, or steps of the smallest unit.
const UNUSABLE_RATE: f64 = 1000.0;

/// Where a container's bytes are. It is opened anew for every pass.
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

/// What a container says about its video stream.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    /// Number of the stream in the container.
    pub(crate) index: usize,
    /// Seconds of a unit of its times.
    pub(crate) time_base: TimeBase,
    /// When the first frame is shown.
    pub(crate) start: Option<i64>,
    /// Its length by the header.
    pub(crate) duration: Option<i64>,
    /// Frames per second on average, by the header.
    pub(crate) average_rate: Option<Ratio>,
    /// The lowest rate at which all times can be represented.
    pub(crate) base_rate: Option<Ratio>,
    /// Number of frames by the header.
    pub(crate) announced: Option<u64>,
    /// Height in pixels as stored.
    pub(crate) height: u32,
    /// Width in pixels as stored.
    pub(crate) width: u32,
    /// EXIF orientation (1 to 8) in which it is shown.
    pub(crate) exif: u8,
    /// Whether the format is a transport or program stream, whose clock may start again.
    pub(crate) may_restart: bool,
}

impl Stream {
    /// Whether the clock may start again within a file of this format, by FFmpeg's name for it.
    pub(crate) fn may_restart(format: &str) -> bool {
        matches!(format, "mpegts" | "mpegtsraw" | "mpeg")
    }
}

/// Decodes a container's video stream. Times are in the stream's time base.
pub(crate) trait Decoder: Send + fmt::Debug {
    /// What the container says.
    fn stream(&self) -> &Stream;

    /// Reads all packets of the stream in the order of the file.
    fn packets(&mut self, deadline: Deadline, each: &mut dyn FnMut(Packet) -> Result<(), Error>) -> Result<(), Error>;

    /// Decodes all frames, or those from the key frame `from` of the index on, and gives their times.
    fn decode_times(
        &mut self,
        from: Option<(i64, &Index)>,
        deadline: Deadline,
        each: &mut dyn FnMut(Option<i64>) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// Decodes the frames at ascending `indices` and gives them upright to the sink. A packet without a frame of its own stands
    /// for the next frame.
    fn read(
        &mut self,
        index: &Index,
        indices: &[usize],
        deadline: Deadline,
        sink: &mut FrameSink<'_>,
    ) -> Result<(), Error>;
}

/// A container whose frames have been counted.
#[derive(Debug)]
pub(crate) struct Container<D> {
    decoder: D,
    index: Index,
    metadata: VideoMetadata,
    /// The rate of frames whose own times cannot be used.
    assumed_rate: Option<Ratio>,
    notes: Vec<VideoNote>,
    limits: Limits,
}

impl<D: Decoder> Container<D> {
    /// Reads the whole file once, to know its frames. They are decoded for that only where the packets do not tell.
    pub(crate) fn open(
        bytes: Bytes,
        limits: &Limits,
        decoder: impl FnOnce(Bytes, &Limits, Deadline) -> Result<D, Error>,
    ) -> Result<Self, Error> {
        let deadline = Deadline::after(limits.deadline);
        let structure = bytes.structure().unwrap_or(Structure::Unknown);
        let explain = |error| match (error, structure) {
            (Error::Decode { .. } | Error::NoVideoStream { .. }, Structure::MissingIndex) => Error::MissingIndex,
            (Error::Decode { .. } | Error::NoVideoStream { .. }, Structure::CutOff) => Error::NoWholeFrame,
            (other, _) => other,
        };
        let mut decoder = decoder(bytes, limits, deadline).map_err(explain)?;
        let (mut index, is_trimmed) = find_frames(&mut decoder, structure, limits, deadline)?;
        if structure == Structure::PartialFrame && !is_trimmed {
            index.frames -= 1;
            index.times.truncate(index.frames);
        }
        if index.frames == 0 {
            return Err(if structure == Structure::Whole { Error::NoFrames } else { Error::NoWholeFrame });
        }
        let stream = decoder.stream();
        let is_cut_off = is_trimmed || matches!(structure, Structure::CutOff | Structure::PartialFrame);
        let announced = stream.announced.filter(|&announced| announced > index.frames as u64);
        let note = VideoNote::EndsEarly { frames: index.frames, announced };
        let mut notes = if is_cut_off { vec![note] } else { Vec::new() };
        let assumed_rate = lacks_times(stream, &index).then(|| declared_rate(stream));
        notes.extend(assumed_rate.map(|rate| VideoNote::UnusableTimes { rate }));
        let metadata = metadata(stream, &index, assumed_rate);
        Ok(Self { decoder, index, metadata, assumed_rate, notes, limits: limits.clone() })
    }

    /// When a frame is shown, since the first one.
    fn time(&self, at: usize) -> Option<Ratio> {
        if let Some(rate) = self.assumed_rate {
            return rate.time_of(at as u64);
        }
        let since = self.index.times.get(at)?.checked_sub(*self.index.times.first()?)?;
        self.decoder.stream().time_base.seconds(since)
    }
}

/// The frames of a container, and whether some at its end cannot be decoded.
fn find_frames(
    decoder: &mut impl Decoder,
    structure: Structure,
    limits: &Limits,
    deadline: Deadline,
) -> Result<(Index, bool), Error> {
    let stream = decoder.stream();
    let max_gap = stream.may_restart.then(|| stream.time_base.units(Ratio::whole(MAX_GAP))).flatten();
    let frame = frame_units(stream);
    // These formats do not tell how long a picture is, so that its decoder makes up the rest.
    let is_partial = structure == Structure::CutOff && stream.may_restart;
    let mut scan = PacketScan::new(stream.start, max_gap);
    decoder.packets(deadline, &mut |packet| scan.push(packet, limits.max_frames))?;
    if is_partial {
        scan.drop_last();
    }
    let is_whole = structure == Structure::Whole;
    // Equal times tell nothing of packets that are no frames.
    let scanned = scan.finish().filter(|index| !has_unusable_times(decoder.stream(), index));
    match scanned {
        Some(index) if is_whole || index.frames == 0 => Ok((index, false)),
        Some(mut index) if index.by_time => {
            // The last packets may be incomplete. The last key frame, too, so that decoding starts at the one before it.
            let from = index.keys.len().checked_sub(2).and_then(|at| index.keys.get(at)).copied();
            let mut decoded = Vec::new();
            if let Some(from) = from {
                decoder.decode_times(Some((from, &index)), deadline, &mut |time| {
                    decoded.extend(time);
                    Ok(())
                })?;
            }
            if !from.is_some_and(|from| decoded.iter().any(|&time| time <= from)) {
                // Some formats can only guess where a time is.
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
            // More packets without a frame would be fields, or hidden frames.
            let is_trimmed = counted.is_some_and(|index| index.frames == times.len() + 1);
            if is_partial {
                times.pop();
            }
            Ok((Index::counted(times.len(), repair(&times, frame, max_gap)), is_trimmed))
        }
    }
}

/// The length of a frame by the stream's rate.
fn frame_units(stream: &Stream) -> Option<i64> {
    stream.time_base.units(stream.average_rate.or(stream.base_rate)?.time_of(1)?)
}

/// Whether a stream tells neither when its frames are shown nor at which rate.
fn lacks_times(stream: &Stream, index: &Index) -> bool {
    let is_silent = index.times.is_empty() && stream.average_rate.or(stream.base_rate).is_none();
    index.frames > 1 && (is_silent || has_unusable_times(stream, index))
}

/// Whether the times of a stream are all equal, or so close to each other that they cannot be meant.
fn has_unusable_times(stream: &Stream, index: &Index) -> bool {
    let (Some(first), Some(last)) = (index.times.first(), index.times.last()) else { return false };
    let steps = index.times.len() as f64 - 1.0;
    let span = last.checked_sub(*first).and_then(|span| stream.time_base.seconds(span)).map_or(f64::MAX, Ratio::as_f64);
    let is_slow = stream.average_rate.is_none_or(|rate| rate.as_f64() < UNUSABLE_RATE / 2.0);
    steps >= 1.0 && span * UNUSABLE_RATE <= steps && is_slow
}

/// The rate that a stream declares, as far as it can be meant, or else 25 frames per second.
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
        self.decoder.read(&self.index, indices, Deadline::after(self.limits.deadline), sink)
    }
}
