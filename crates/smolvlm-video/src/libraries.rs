//! Decoding of video containers with FFmpeg's libraries.

use crate::color::{Converter, decode_error};
use crate::container::{Bytes, Decoder, Stream};
use crate::display_matrix::exif_orientation;
use crate::index::{Index, Packet};
use crate::limits::Deadline;
use crate::ratio::TimeBase;
use crate::{Error, FrameSink, Limits, Ratio};
use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::{packet::side_data, threading};
use ffmpeg_next::format::{context::Input, context::StreamIo};
use ffmpeg_next::media::Type;
use ffmpeg_next::{Dictionary, Discard, Rational, frame};
use smolvlm_image::Rgb;
use std::fmt;
use std::fs::File;
use std::io::Cursor;
use std::sync::Once;

/// FFmpeg's value for an unknown time (`AV_NOPTS_VALUE`).
const NO_TIME: i64 = i64::MIN;

/// Maximum number of consecutive read errors, after which a file counts as finished.
const MAX_ERRORS: usize = 64;

/// Maximum number of seek attempts, each to an earlier key frame.
const MAX_SEEKS: usize = 3;

/// Decodes a container with FFmpeg's libraries.
#[derive(Debug)]
pub(crate) struct Libraries {
    bytes: Bytes,
    limits: Limits,
    stream: Stream,
    /// The reader that opened the file, reused for the first pass.
    first: Option<Reader>,
}

impl Libraries {
    pub(crate) fn open(bytes: Bytes, limits: &Limits, deadline: &Deadline) -> Result<Self, Error> {
        let (reader, stream) = Reader::open(&bytes, limits, deadline)?;
        Ok(Self { bytes, limits: limits.clone(), stream, first: Some(reader) })
    }

    fn reader(&self, deadline: &Deadline) -> Result<Reader, Error> {
        Ok(Reader::open(&self.bytes, &self.limits, deadline)?.0)
    }
}

impl Decoder for Libraries {
    fn stream(&self) -> &Stream {
        &self.stream
    }

    fn packets(&mut self, deadline: &Deadline, each: &mut dyn FnMut(Packet) -> Result<(), Error>) -> Result<(), Error> {
        let mut reader = self.first.take().map_or_else(|| self.reader(deadline), Ok)?;
        while let Some(packet) = reader.next_packet()? {
            let (pts, dts) = (packet.pts(), packet.dts());
            each(Packet { pts, dts, duration: packet.duration(), is_key: packet.is_key() })?;
        }
        Ok(())
    }

    fn decode_times(
        &mut self,
        from: Option<(i64, &Index)>,
        deadline: &Deadline,
        each: &mut dyn FnMut(Option<i64>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut reader = self.reader(deadline)?;
        if let Some((key, index)) = from
            && !reader.seek_toward(key, index)
        {
            reader = self.reader(deadline)?;
        }
        while reader.next_frame(|_| true)? {
            each(reader.frame.timestamp())?;
        }
        Ok(())
    }

    fn read(
        &mut self,
        index: &Index,
        indices: &[usize],
        deadline: &Deadline,
        sink: &mut FrameSink<'_>,
    ) -> Result<(), Error> {
        let missing = |at| Error::MissingFrame { index: at, frames: index.frames };
        // Frames are identified by their times or by counting.
        let target = |at: usize| if index.by_time { index.times.get(at).copied() } else { i64::try_from(at).ok() };
        let targets: Option<Vec<i64>> = indices.iter().map(|&at| target(at)).collect();
        let targets = targets.ok_or_else(|| missing(index.frames))?;
        let (mut reader, mut converter) = (self.reader(deadline)?, Converter::default());
        for (&at, &target) in indices.iter().zip(&targets) {
            if !reader.find(target, &targets, index, true)? {
                // A seek may have missed the frame: decode from the start.
                reader = self.reader(deadline)?;
                if !reader.find(target, &targets, index, false)? {
                    return Err(missing(at));
                }
            }
            sink(at, &reader.image(&mut converter, &self.limits, self.stream.exif)?)?;
        }
        Ok(())
    }
}

/// One pass over a container.
struct Reader {
    input: Input,
    stream: usize,
    time_base: TimeBase,
    decoder: ffmpeg::decoder::Video,
    frame: frame::Video,
    /// The position of `frame`: its time, or its index if frames are counted.
    position: Option<i64>,
    /// Number of frames decoded so far.
    decoded: i64,
    /// Time of the latest key frame sent to the decoder.
    last_key: Option<i64>,
    has_ended: bool,
    /// The packet that was read to check the target of a seek.
    pending: Option<ffmpeg::Packet>,
    deadline: Deadline,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Reader {
    fn open(bytes: &Bytes, limits: &Limits, deadline: &Deadline) -> Result<(Self, Stream), Error> {
        set_up();
        let in_time = |error| if deadline.is_over() { deadline.check().err().unwrap_or(error) } else { error };
        let mut options = Dictionary::new();
        // Playlists may refer to other files and URLs, which must not be opened.
        options.set("protocol_whitelist", "none");
        let stream = match bytes {
            Bytes::File(path) => {
                let file = File::open(path).map_err(|source| Error::Io { path: path.clone(), source })?;
                StreamIo::from_read_seek(file)
            }
            Bytes::Memory(bytes) => StreamIo::from_read_seek(Cursor::new(bytes.clone())),
        };
        let stream = stream.map_err(decode_error)?;
        let interrupt = {
            let deadline = deadline.clone();
            move || deadline.is_over()
        };
        let input = ffmpeg::format::input_from_stream_with_interrupt(stream, None, Some(options), interrupt);
        let input = input.map_err(|error| in_time(decode_error(error)))?;
        let Some(video) = best_stream(&input) else { return Err(Error::NoVideoStream { found: kinds(&input) }) };
        let mut context = ffmpeg::codec::Context::from_parameters(video.parameters())
            .map_err(|error| in_time(decode_error(error)))?;
        let kind = threading::Config::kind(threading::Type::Frame);
        context.set_threading(threading::Config { count: limits.decoder_threads(), ..kind });
        let decoder = context.decoder().video().map_err(decode_error)?;
        limits.check_frame_size(decoder.width(), decoder.height())?;
        let matrix = video.side_data().find(|data| data.kind() == side_data::Type::DisplayMatrix);
        let ratio = |rate: Rational| {
            let (num, den) = (u64::try_from(rate.numerator()).ok()?, u64::try_from(rate.denominator()).ok()?);
            Ratio::new(num, den).filter(|rate| rate.numerator() > 0)
        };
        let time_base = video.time_base();
        let time_base = TimeBase::new(time_base.numerator().into(), time_base.denominator().into());
        let time_base = time_base.ok_or(Error::NoFrames)?;
        let stream = Stream {
            index: video.index(),
            time_base,
            start: Some(video.start_time()).filter(|&start| start != NO_TIME),
            duration: Some(video.duration()).filter(|&duration| duration > 0),
            average_rate: ratio(video.avg_frame_rate()),
            base_rate: ratio(video.rate()),
            declared: u64::try_from(video.frames()).ok().filter(|&frames| frames > 0),
            height: decoder.height(),
            width: decoder.width(),
            exif: matrix.map_or(1, |matrix| exif_orientation(matrix.data())),
            may_restart: Stream::may_restart(input.format().name()),
        };
        let reader = Self {
            stream: stream.index,
            time_base,
            decoder,
            input,
            frame: frame::Video::empty(),
            position: None,
            decoded: 0,
            last_key: None,
            has_ended: false,
            pending: None,
            deadline: deadline.clone(),
        };
        Ok((reader, stream))
    }

    /// Decodes up to the frame at `target`, or the next one if the packet has no frame. Returns whether there is one.
    fn find(&mut self, target: i64, targets: &[i64], index: &Index, can_seek: bool) -> Result<bool, Error> {
        if self.position.is_some_and(|position| position >= target) {
            return Ok(true);
        }
        if can_seek && !self.seek_toward(target, index) {
            return Ok(false);
        }
        // Unwanted frames are not decoded unless other frames refer to them.
        let is_wanted =
            |time: Option<i64>| !index.by_time || time.is_none_or(|time| targets.binary_search(&time).is_ok());
        while self.next_frame(is_wanted)? {
            let time = || self.frame.pts().or(self.frame.timestamp());
            self.position = if index.by_time { time() } else { Some(self.decoded - 1) };
            if self.position.is_some_and(|position| position >= target) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Decodes the next frame; `false` at the end.
    fn next_frame(&mut self, is_wanted: impl Fn(Option<i64>) -> bool) -> Result<bool, Error> {
        let mut errors = 0;
        loop {
            self.deadline.check()?;
            match self.decoder.receive_frame(&mut self.frame) {
                Ok(()) => {
                    self.decoded += 1;
                    return Ok(true);
                }
                Err(ffmpeg::Error::Eof) => return Ok(false),
                // With several threads, errors of earlier packets are reported between the last frames.
                Err(_) if self.has_ended => errors += 1,
                Err(_) => self.feed(&is_wanted)?,
            }
            if errors > MAX_ERRORS {
                return Ok(false);
            }
        }
    }

    /// The next packet of the video; `None` at the end.
    fn next_packet(&mut self) -> Result<Option<ffmpeg::Packet>, Error> {
        if let Some(packet) = self.pending.take() {
            return Ok(Some(packet));
        }
        let mut errors = 0;
        while errors < MAX_ERRORS {
            let mut packet = ffmpeg::Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() == self.stream => return Ok(Some(packet)),
                Ok(()) => errors = 0,
                Err(ffmpeg::Error::Eof) => return Ok(None),
                // Damaged parts of a file are skipped; it is an error only if a wanted frame is missing.
                Err(_) => {
                    self.deadline.check()?;
                    errors += 1;
                }
            }
        }
        Ok(None)
    }

    /// Sends the next packet to the decoder, or the end of the stream.
    fn feed(&mut self, is_wanted: impl Fn(Option<i64>) -> bool) -> Result<(), Error> {
        let Some(packet) = self.next_packet()? else {
            self.has_ended = true;
            // Fails only if it has been sent before.
            let _ = self.decoder.send_eof();
            return Ok(());
        };
        if packet.is_key() {
            self.last_key = self.last_key.max(packet.pts());
        }
        self.decoder.skip_frame(if is_wanted(packet.pts()) { Discard::Default } else { Discard::NonReference });
        // A packet that cannot be decoded is an error only if its frame is wanted.
        let _ = self.decoder.send_packet(&packet);
        Ok(())
    }

    /// Seeks to the key frame before `target` if that skips packets. Returns `false` if all attempts went past the
    /// target, as in formats without an exact index.
    fn seek_toward(&mut self, target: i64, index: &Index) -> bool {
        let Some(key) = index.key_before(target) else { return true };
        let is_next = self.last_key.is_none() && index.keys.first() == Some(&key);
        if is_next || self.last_key.is_some_and(|last| key <= last) {
            return true;
        }
        let mut aim = Some(key);
        for _ in 0..MAX_SEEKS {
            let Some(time) = aim.and_then(|aim| self.time_base.microseconds(aim)) else { break };
            if self.input.seek(time, ..time).is_err() {
                break;
            }
            self.pending = None;
            self.pending = self.next_packet().ok().flatten();
            if self.pending.as_ref().and_then(ffmpeg::Packet::pts).is_some_and(|found| found <= key) {
                self.decoder.flush();
                return true;
            }
            aim = aim.and_then(|aim| index.key_before(aim.checked_sub(1)?));
        }
        false
    }

    /// The frame in RGB with its orientation applied.
    fn image(&self, converter: &mut Converter, limits: &Limits, exif: u8) -> Result<Rgb, Error> {
        limits.check_frame_size(self.frame.width(), self.frame.height())?;
        Ok(converter.rgb(&self.frame)?.with_orientation(exif))
    }
}

/// FFmpeg's best video stream, excluding the cover pictures of audio files.
fn best_stream(input: &Input) -> Option<ffmpeg::format::stream::Stream<'_>> {
    let is_cover = |stream: &ffmpeg::format::stream::Stream<'_>| {
        stream.disposition().contains(ffmpeg::format::stream::Disposition::ATTACHED_PIC)
    };
    let best = input.streams().best(Type::Video)?;
    if !is_cover(&best) {
        return Some(best);
    }
    input.streams().find(|stream| stream.parameters().medium() == Type::Video && !is_cover(stream))
}

/// The contents of a file without video: `audio and subtitles`, or `nothing known`.
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

/// Initializes FFmpeg, including its error messages, and turns off its logging to stderr: this crate reports damaged
/// files through its errors.
fn set_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Does not fail in the supported releases.
        let _ = ffmpeg::init();
        ffmpeg::log::set_level(ffmpeg::log::Level::Quiet);
    });
}
