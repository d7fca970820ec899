//! Video containers, through FFmpeg.

use crate::colour::{Converter, decode_error};
use crate::display_matrix::exif_orientation;
use crate::index::{Index, MOST_ERRORS};
use crate::limits::{Deadline, check};
use crate::{Error, FrameSink, FrameSource, FrameStamp, Limits, Ratio, VideoMetadata};
use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::{packet::side_data, threading};
use ffmpeg_next::format::{context::Input, context::StreamIo};
use ffmpeg_next::media::Type;
use ffmpeg_next::{Dictionary, Discard, Rational, frame};
use smolvlm_image::Rgb;
use std::fs::File;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::{Arc, Once};

/// What FFmpeg calls a time that is not known (`AV_NOPTS_VALUE`).
const NO_TIME: i64 = i64::MIN;

/// FFmpeg counts times that belong to no stream in millionths of a second (`AV_TIME_BASE`).
const MICROSECONDS: i128 = 1_000_000;

/// Where a container's bytes are. It is opened anew for every pass.
#[derive(Debug, Clone)]
pub(crate) enum Bytes {
    File(PathBuf),
    Memory(Arc<[u8]>),
}

/// A container whose frames have been counted.
#[derive(Debug)]
pub(crate) struct Container {
    bytes: Bytes,
    index: Index,
    time_base: Rational,
    metadata: VideoMetadata,
    limits: Limits,
}

impl Container {
    /// Reads the whole file once without decoding it, to know its frames.
    pub(crate) fn open(bytes: Bytes, limits: &Limits) -> Result<Self, Error> {
        let deadline = Deadline::after(limits.deadline);
        let mut reader = Reader::open(&bytes, limits, deadline)?;
        let (height, width) = reader.upright_size();
        let (stream, start) = (reader.stream, reader.start);
        let index = Index::scan(&mut reader.input, stream, start, limits.max_frames, deadline)?;
        if index.frames == 0 {
            return Err(Error::NoFrames);
        }
        let seconds = |units| seconds(units, reader.time_base);
        let counted = index.span().and_then(seconds).filter(|span| span.numerator() > 0);
        let duration = counted.or_else(|| seconds(u64::try_from(reader.duration).ok()?));
        let fps = reader.rate.or_else(|| {
            let span = duration.filter(|span| span.numerator() > 0)?;
            Ratio::new((index.frames as u64).checked_mul(span.denominator())?, span.numerator())
        });
        let duration = duration.or_else(|| fps?.time_of(index.frames as u64));
        let metadata = VideoMetadata { frames: index.frames, fps, duration, height, width };
        Ok(Self { bytes, index, time_base: reader.time_base, metadata, limits: limits.clone() })
    }

    /// When a frame is shown, since the first one.
    fn time(&self, at: usize) -> Option<Ratio> {
        let since = self.index.times.get(at)?.checked_sub(*self.index.times.first()?)?;
        seconds(u64::try_from(since).ok()?, self.time_base)
    }
}

impl FrameSource for Container {
    fn metadata(&self) -> &VideoMetadata {
        &self.metadata
    }

    fn stamp(&self, index: usize) -> FrameStamp {
        FrameStamp { index, time: self.time(index) }
    }

    fn read(&mut self, indices: &[usize], sink: &mut FrameSink<'_>) -> Result<(), Error> {
        let deadline = Deadline::after(self.limits.deadline);
        let open = || Reader::open(&self.bytes, &self.limits, deadline);
        let missing = |index| Error::MissingFrame { index, frames: self.metadata.frames };
        // With times frames are found by them, else they are counted.
        let target = |index: usize| match self.index.times.as_slice() {
            [] => Ok(index as i64),
            times => times.get(index).copied().ok_or_else(|| missing(index)),
        };
        let targets = indices.iter().map(|&index| target(index)).collect::<Result<Vec<i64>, Error>>()?;
        let mut reader = open()?.looking_for(&targets, &self.index);
        for (&index, &target) in indices.iter().zip(&targets) {
            if !reader.find(target)? {
                // Once more from the start, in case that seeking lost it.
                reader = open()?.looking_for(&targets, &self.index).without_seeking();
                if !reader.find(target)? {
                    return Err(missing(index));
                }
            }
            sink(index, &reader.image()?)?;
        }
        Ok(())
    }
}

/// One pass over a container.
struct Reader<'a> {
    input: Input,
    stream: usize,
    time_base: Rational,
    start: Option<i64>,
    duration: i64,
    rate: Option<Ratio>,
    exif: u8,
    decoder: ffmpeg::decoder::Video,
    converter: Converter,
    frame: frame::Video,
    /// The place of `frame`: its time, or its number in a stream without times.
    place: Option<i64>,
    /// Frames decoded so far, in a stream without times.
    decoded: i64,
    /// The latest frame that was handed to the decoder and can be decoded without others.
    last_key: Option<i64>,
    has_ended: bool,
    can_seek: bool,
    /// A packet that was read to see where a seek came out.
    pending: Option<ffmpeg::Packet>,
    targets: &'a [i64],
    index: Option<&'a Index>,
    limits: &'a Limits,
    deadline: Deadline,
}

impl<'a> Reader<'a> {
    fn open(bytes: &Bytes, limits: &'a Limits, deadline: Deadline) -> Result<Self, Error> {
        set_up();
        let in_time = |error| if deadline.is_over() { deadline.check().err().unwrap_or(error) } else { error };
        let mut options = Dictionary::new();
        // A playlist may name other files and addresses; none of them is opened.
        options.set("protocol_whitelist", "none");
        let stream = match bytes {
            Bytes::File(path) => {
                let file = File::open(path).map_err(|source| Error::Io { path: path.clone(), source })?;
                StreamIo::from_read_seek(file)
            }
            Bytes::Memory(bytes) => StreamIo::from_read_seek(Cursor::new(bytes.clone())),
        };
        let stream = stream.map_err(decode_error)?;
        let interrupt = move || deadline.is_over();
        let input = ffmpeg::format::input_from_stream_with_interrupt(stream, None, Some(options), interrupt);
        let input = input.map_err(|error| in_time(decode_error(error)))?;

        let video = input.streams().best(Type::Video);
        // The cover of a music file is a video stream to FFmpeg.
        let cover = ffmpeg::format::stream::Disposition::ATTACHED_PIC;
        let Some(video) = video.filter(|stream| !stream.disposition().contains(cover)) else {
            return Err(Error::NoVideoStream { found: kinds(&input) });
        };
        let mut context = ffmpeg::codec::Context::from_parameters(video.parameters())
            .map_err(|error| in_time(decode_error(error)))?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        context.set_threading(threading::Config { count: threads, ..threading::Config::kind(threading::Type::Frame) });
        let decoder = context.decoder().video().map_err(decode_error)?;
        check_size(decoder.width(), decoder.height(), limits)?;
        let matrix = video.side_data().find(|data| data.kind() == side_data::Type::DisplayMatrix);
        let ratio = |rate: Rational| {
            let (num, den) = (u64::try_from(rate.numerator()).ok()?, u64::try_from(rate.denominator()).ok()?);
            Ratio::new(num, den).filter(|rate| rate.numerator() > 0)
        };
        Ok(Self {
            stream: video.index(),
            time_base: video.time_base(),
            start: Some(video.start_time()).filter(|&start| start != NO_TIME),
            duration: video.duration(),
            rate: ratio(video.avg_frame_rate()).or_else(|| ratio(video.rate())),
            exif: matrix.map_or(1, |matrix| exif_orientation(matrix.data())),
            decoder,
            input,
            converter: Converter::default(),
            frame: frame::Video::empty(),
            place: None,
            decoded: 0,
            last_key: None,
            has_ended: false,
            can_seek: true,
            pending: None,
            targets: &[],
            index: None,
            limits,
            deadline,
        })
    }

    fn looking_for(self, targets: &'a [i64], index: &'a Index) -> Self {
        Self { targets, index: Some(index), ..self }
    }

    fn without_seeking(self) -> Self {
        Self { can_seek: false, ..self }
    }

    /// Height and width as shown.
    fn upright_size(&self) -> (u32, u32) {
        let (height, width) = (self.decoder.height(), self.decoder.width());
        if self.exif >= 5 { (width, height) } else { (height, width) }
    }

    fn has_times(&self) -> bool {
        self.index.is_some_and(|index| !index.times.is_empty())
    }

    /// Decodes up to the frame at `target`, or, where a packet makes no frame of its own, the next one. Whether there is
    /// one.
    fn find(&mut self, target: i64) -> Result<bool, Error> {
        if self.place.is_some_and(|place| place >= target) {
            return Ok(true);
        }
        if !self.seek_towards(target) {
            return Ok(false);
        }
        loop {
            self.deadline.check()?;
            while self.decoder.receive_frame(&mut self.frame).is_ok() {
                let place =
                    if self.has_times() { self.frame.pts().or(self.frame.timestamp()) } else { Some(self.decoded) };
                self.decoded += 1;
                self.place = place;
                if place.is_some_and(|place| place >= target) {
                    return Ok(true);
                }
            }
            if self.has_ended {
                return Ok(false);
            }
            self.feed();
        }
    }

    /// The next packet of the video; none at the end.
    fn next_packet(&mut self) -> Option<ffmpeg::Packet> {
        if let Some(packet) = self.pending.take() {
            return Some(packet);
        }
        let mut errors = 0;
        while errors < MOST_ERRORS {
            let mut packet = ffmpeg::Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() == self.stream => return Some(packet),
                Ok(()) => errors = 0,
                Err(ffmpeg::Error::Eof | ffmpeg::Error::Exit) => return None,
                // Damage: go on behind it, but not for ever.
                Err(_) => errors += 1,
            }
        }
        None
    }

    /// Hands the next packet to the decoder, or the news that there is none.
    fn feed(&mut self) {
        let Some(packet) = self.next_packet() else {
            self.has_ended = true;
            // Fails only if the decoder has been told before.
            let _ = self.decoder.send_eof();
            return;
        };
        if packet.is_key() {
            self.last_key = self.last_key.max(packet.pts());
        }
        if self.has_times() {
            // Frames that nobody wants, and that no other frame needs, need not be decoded.
            let wanted = packet.pts().is_none_or(|time| self.targets.binary_search(&time).is_ok());
            self.decoder.skip_frame(if wanted { Discard::Default } else { Discard::NonReference });
        }
        // A packet that cannot be decoded leaves out its frame; it is missed if it is wanted.
        let _ = self.decoder.send_packet(&packet);
    }

    /// Seeks if that leaves packets out. False if it was tried and came out behind the target: some formats can only guess
    /// where a time is.
    fn seek_towards(&mut self, target: i64) -> bool {
        let Some(index) = self.index.filter(|_| self.can_seek) else { return true };
        let Some(key) = index.key_before(target) else { return true };
        if self.last_key.is_some_and(|last| key <= last) || self.is_next(key) {
            return true;
        }
        let mut aim = Some(key);
        for _ in 0..SEEKS {
            let Some(time) = aim.and_then(|aim| self.microseconds(aim)) else { break };
            if self.input.seek(time, ..time).is_err() {
                break;
            }
            self.pending = None;
            self.pending = self.next_packet();
            if self.pending.as_ref().and_then(ffmpeg::Packet::pts).is_some_and(|found| found <= key) {
                self.decoder.flush();
                return true;
            }
            aim = aim.and_then(|aim| index.key_before(aim.checked_sub(1)?));
        }
        false
    }

    /// A time of the stream in millionths of a second, rounded up: a little before a frame would be the group before it.
    fn microseconds(&self, time: i64) -> Option<i64> {
        let (num, den) = (i128::from(self.time_base.numerator()), i128::from(self.time_base.denominator().max(1)));
        let time = i128::from(time) * num * MICROSECONDS;
        i64::try_from(time.div_euclid(den) + i128::from(time.rem_euclid(den) != 0)).ok()
    }

    /// Whether decoding starts at this frame anyway.
    fn is_next(&self, key: i64) -> bool {
        self.last_key.is_none() && self.index.is_some_and(|index| index.keys.first() == Some(&key))
    }

    /// The frame in RGB, upright.
    fn image(&mut self) -> Result<Rgb, Error> {
        check_size(self.frame.width(), self.frame.height(), self.limits)?;
        Ok(self.converter.rgb(&self.frame)?.turned(self.exif))
    }
}

/// A span in units of a stream's time base.
fn seconds(units: u64, time_base: Rational) -> Option<Ratio> {
    let (num, den) = (u64::try_from(time_base.numerator()).ok()?, u64::try_from(time_base.denominator()).ok()?);
    Ratio::new(units.checked_mul(num)?, den)
}

/// How often a seek is tried, each time a group of frames further ahead.
const SEEKS: usize = 3;

/// More threads hold more frames, each of which may have many megabytes.
const MOST_THREADS: usize = 8;

fn check_size(width: u32, height: u32, limits: &Limits) -> Result<(), Error> {
    check("a frame's width in pixels", width.into(), limits.image.max_width.into())?;
    check("a frame's height in pixels", height.into(), limits.image.max_height.into())?;
    check("a frame's number of pixels", u64::from(width) * u64::from(height), limits.image.max_pixels)
}

/// What a file without video holds: `audio and subtitles`, or `nothing known`.
fn kinds(input: &Input) -> String {
    let mut kinds: Vec<&str> = Vec::new();
    for stream in input.streams() {
        let kind = match stream.parameters().medium() {
            Type::Audio => "audio",
            Type::Subtitle => "subtitles",
            Type::Video => "a cover picture",
            _ => "data",
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    if kinds.is_empty() { "nothing known".to_owned() } else { kinds.join(" and ") }
}

/// FFmpeg's own preparations, which name its errors, and silence: it writes about damaged files to stderr, but whoever calls
/// this crate hears of them by its errors.
fn set_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Cannot fail in any release that this is built for; without it messages have no words.
        let _ = ffmpeg::init();
        ffmpeg::log::set_level(ffmpeg::log::Level::Fatal);
    });
}
