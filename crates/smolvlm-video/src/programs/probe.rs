//! Parsing of the output of `ffprobe`.

use crate::container::Stream;
use crate::display_matrix::exif_orientation;
use crate::index::Packet;
use crate::matrix::{BT601, BT709, BT2020, Matrix, SMPTE240M};
use crate::ratio::TimeBase;
use crate::{Error, Limits, Ratio};
use std::collections::HashMap;

/// Entries of the file and its streams for [`Probe::new`].
pub(super) const STREAM_ENTRIES: &str = "stream=index,codec_type,width,height,pix_fmt,color_space,color_range,time_base,\
    start_pts,duration_ts,bit_rate,nb_frames,avg_frame_rate,r_frame_rate\
    :stream_disposition=attached_pic,default,hearing_impaired,visual_impaired:stream_side_data=displaymatrix\
    :format=format_name";

/// Entries of packets for [`packet`].
pub(super) const PACKET_ENTRIES: &str = "packet=pts,dts,duration,flags";

/// The video stream of a file.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) stream: Stream,
    /// The conversion to RGB: `None` for FFmpeg's scaler, otherwise this matrix for 4:4:4 planes in this pixel format.
    pub(super) conversion: Option<(Matrix, &'static str)>,
}

/// The values of all streams by name, and the format name, from the output of `-of flat`.
#[derive(Debug, Default)]
pub(super) struct Entries {
    streams: Vec<HashMap<String, String>>,
    format: String,
}

/// Maximum number of streams, and of values per stream.
const MAX_ENTRIES: usize = 256;

impl Entries {
    /// Adds a line: `streams.stream.0.width=64`.
    pub(super) fn add(&mut self, line: &str) {
        let Some((name, value)) = line.split_once('=') else { return };
        let value = unquoted(value);
        if name == "format.format_name" {
            self.format = value;
            return;
        }
        let Some((number, name)) = name.strip_prefix("streams.stream.").and_then(|name| name.split_once('.')) else {
            return;
        };
        let Some(number) = number.parse().ok().filter(|&number: &usize| number < MAX_ENTRIES) else { return };
        if self.streams.len() <= number {
            self.streams.resize_with(number + 1, HashMap::new);
        }
        // The full name contains the index of the side data.
        let name = if name.ends_with(".displaymatrix") { "displaymatrix" } else { name };
        if let Some(stream) = self.streams.get_mut(number).filter(|stream| stream.len() < MAX_ENTRIES) {
            stream.insert(name.to_owned(), value);
        }
    }

    /// The best video stream: not for the hearing or visually impaired, then the default one, then the one with the
    /// highest bit rate, then the first. Cover pictures are excluded.
    fn best(&self) -> Option<&HashMap<String, String>> {
        let flag =
            |stream: &HashMap<String, String>, name: &str| number(stream, &format!("disposition.{name}")) == Some(1);
        let is_video = |stream: &&HashMap<String, String>| {
            stream.get("codec_type").is_some_and(|kind| kind == "video") && !flag(stream, "attached_pic")
        };
        let rank = |stream: &&HashMap<String, String>| {
            let impaired = flag(stream, "hearing_impaired") || flag(stream, "visual_impaired");
            (u8::from(!impaired) + u8::from(flag(stream, "default")), number(stream, "bit_rate").unwrap_or(0))
        };
        // Reversed, because `max_by_key` returns the last of equal elements.
        self.streams.iter().rev().filter(is_video).max_by_key(rank)
    }

    /// The contents of a file without video: `audio and subtitles`, or `nothing known`.
    fn kinds(&self) -> String {
        let mut kinds: Vec<&str> = Vec::new();
        for stream in &self.streams {
            let kind = match stream.get("codec_type").map(String::as_str) {
                Some("audio") => "audio",
                Some("subtitle") => "subtitles",
                Some("video") => "a cover picture",
                _ => "data",
            };
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        if kinds.is_empty() { "nothing known".to_owned() } else { kinds.join(" and ") }
    }
}

impl Probe {
    /// Selects and parses the video stream.
    pub(super) fn new(entries: &Entries, limits: &Limits) -> Result<Self, Error> {
        let Some(stream) = entries.best() else { return Err(Error::NoVideoStream { found: entries.kinds() }) };
        let size = |name| number(stream, name).and_then(|size| u32::try_from(size).ok()).filter(|&size| size > 0);
        // Without a size, the file ends before its first frame.
        let (height, width) = size("height").zip(size("width")).ok_or(Error::NoCompleteFrame)?;
        limits.check_frame_size(width, height)?;
        let ratio =
            |name| fraction(stream, name).and_then(|(num, den)| Ratio::new(num.try_into().ok()?, den.try_into().ok()?));
        let rate = |name| ratio(name).filter(|rate| rate.numerator() > 0);
        let time_base = fraction(stream, "time_base").and_then(|(num, den)| TimeBase::new(num, den));
        let matrix = stream.get("displaymatrix").map(|text| matrix_bytes(text));
        Ok(Self {
            conversion: conversion(stream),
            stream: Stream {
                index: number(stream, "index").and_then(|index| usize::try_from(index).ok()).unwrap_or(0),
                time_base: time_base.ok_or(Error::NoFrames)?,
                start: number(stream, "start_pts"),
                duration: number(stream, "duration_ts").filter(|&duration| duration > 0),
                average_rate: rate("avg_frame_rate"),
                base_rate: rate("r_frame_rate"),
                declared: number(stream, "nb_frames")
                    .and_then(|frames| frames.try_into().ok())
                    .filter(|&frames| frames > 0),
                height,
                width,
                exif: matrix.map_or(1, |matrix| exif_orientation(&matrix)),
                may_restart: Stream::may_restart(&entries.format),
            },
        })
    }
}

/// The matrix of a stream and the pixel format of the planes for it, unless FFmpeg's scaler supports the matrix.
fn conversion(stream: &HashMap<String, String>) -> Option<(Matrix, &'static str)> {
    let value = |name: &str| stream.get(name).map_or("", String::as_str);
    let weights = match value("color_space") {
        "bt709" => BT709,
        "bt2020nc" => BT2020,
        "smpte240m" => SMPTE240M,
        "gbr" => return None,
        _ => BT601,
    };
    let is_full = value("color_range") == "pc";
    // Pixel formats whose name implies full range.
    let full_name = value("pix_fmt").starts_with("yuvj");
    if weights == BT601 && (full_name || !is_full) {
        return None;
    }
    Some((Matrix::new(weights, is_full || full_name), if full_name { "yuvj444p" } else { "yuv444p" }))
}

/// Parses the line of a packet: `pts=0|dts=N/A|duration=512|flags=K_`.
pub(super) fn packet(line: &str) -> Option<Packet> {
    let mut packet = Packet { pts: None, dts: None, duration: 0, is_key: false };
    let mut is_packet = false;
    for (name, value) in line.split('|').filter_map(|entry| entry.split_once('=')) {
        match name {
            "pts" => packet.pts = value.parse().ok(),
            "dts" => packet.dts = value.parse().ok(),
            "duration" => packet.duration = value.parse().unwrap_or(0),
            "flags" => (packet.is_key, is_packet) = (value.contains('K'), true),
            _ => {}
        }
    }
    is_packet.then_some(packet)
}

fn number(stream: &HashMap<String, String>, name: &str) -> Option<i64> {
    stream.get(name)?.parse().ok()
}

fn fraction(stream: &HashMap<String, String>, name: &str) -> Option<(i64, i64)> {
    let (numerator, denominator) = stream.get(name)?.split_once('/')?;
    Some((numerator.parse().ok()?, denominator.parse().ok()?))
}

/// Removes the quotes and escapes of a value; `\n` is a line break.
fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match (character, if character == '\\' { characters.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some(escaped)) => out.push(escaped),
            (plain, _) => out.push(plain),
        }
    }
    out
}

/// Parses a display matrix from lines such as `00000000: 0 -65536 0` to bytes in native byte order.
fn matrix_bytes(text: &str) -> Vec<u8> {
    let rows = text.lines().filter_map(|line| line.split_once(':'));
    let numbers = rows.flat_map(|(_, row)| row.split_whitespace().filter_map(|number| number.parse::<i32>().ok()));
    numbers.flat_map(i32::to_ne_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::{Entries, Probe, packet};
    use crate::matrix::{BT709, Matrix};
    use crate::{Error, Limits, Ratio};

    fn entries(lines: &str) -> Entries {
        let mut entries = Entries::default();
        lines.lines().for_each(|line| entries.add(line.trim()));
        entries
    }

    #[test]
    fn streams_are_parsed() {
        let entries = entries(
            r#"streams.stream.0.codec_type="audio"
            streams.stream.1.index=1
            streams.stream.1.codec_type="video"
            streams.stream.1.width=64
            streams.stream.1.height=32
            streams.stream.1.pix_fmt="yuv420p"
            streams.stream.1.color_range="tv"
            streams.stream.1.color_space="bt709"
            streams.stream.1.r_frame_rate="0/0"
            streams.stream.1.avg_frame_rate="30000/1001"
            streams.stream.1.time_base="1/16384"
            streams.stream.1.start_pts="N/A"
            streams.stream.1.nb_frames="3"
            streams.stream.1.side_data_list.side_data.0.displaymatrix="\n00000000: 0 -65536 0\n00000001: 65536 0 0\n00000002: 0 0 1073741824\n"
            format.format_name="mpegts""#,
        );
        let Probe { stream, conversion } = Probe::new(&entries, &Limits::default()).unwrap();
        assert_eq!((stream.index, stream.width, stream.height, stream.exif), (1, 64, 32, 8));
        assert_eq!((stream.average_rate, stream.base_rate), (Ratio::new(30_000, 1001), None));
        assert_eq!((stream.start, stream.declared, stream.may_restart), (None, Some(3), true));
        assert_eq!(conversion, Some((Matrix::new(BT709, false), "yuv444p")));
    }

    #[test]
    fn files_without_video_and_oversized_ones_are_errors() {
        let none = Probe::new(&entries("streams.stream.0.codec_type=\"audio\""), &Limits::default());
        assert!(matches!(none, Err(Error::NoVideoStream { found }) if found == "audio"));
        let huge = "streams.stream.0.codec_type=\"video\"\nstreams.stream.0.width=9000000\nstreams.stream.0.height=2";
        assert!(matches!(Probe::new(&entries(huge), &Limits::default()), Err(Error::Limit { .. })));
        let cover = "streams.stream.0.codec_type=\"video\"\nstreams.stream.0.disposition.attached_pic=1";
        let cover = Probe::new(&entries(cover), &Limits::default());
        assert!(matches!(cover, Err(Error::NoVideoStream { found }) if found == "a cover picture"));
        assert!(Probe::new(&entries("garbage\nstreams.stream.99999999.width=3\n=\n"), &Limits::default()).is_err());
    }

    #[test]
    fn packets_are_parsed() {
        let found = packet("pts=512|dts=N/A|duration=N/A|flags=K_").unwrap();
        assert_eq!((found.pts, found.dts, found.duration, found.is_key), (Some(512), None, 0, true));
        assert!(packet("side_data|").is_none() && packet("").is_none());
    }
}
