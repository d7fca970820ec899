//! Decoding of video containers with the programs `ffprobe` and `ffmpeg`.

mod child;
mod probe;

use crate::container::{Bytes, Decoder, Stream};
use crate::index::{Index, Packet};
use crate::limits::Deadline;
use crate::{Error, FrameSink, Isolation, Limits};
use child::{ChildProcess, Chunks};
use probe::{Entries, PACKET_ENTRIES, Probe, STREAM_ENTRIES};
use smolvlm_image::Rgb;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// Self-contained formats. Others, such as playlists, could make FFmpeg open other files.
const FORMATS: &str = "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,ogg,h264,hevc,vvc,av1,obu,ivf,m4v,\
    mjpeg,mjpeg_2000,jpeg_pipe,mxf,mxf_d10,gxf,nut,rm,swf,wtv,dv,avs,avs2,avs3,cavsvideo,yuv4mpegpipe,h261,h263,vc1,\
    vc1test,dirac,dnxhd,nsv,nuv,pva,pmp,roq,thp,smk,bink,flic,mtv,mvi,xmv,wsvqa,ipmovie,4xm,film_cpk,dxa,lvf,mv,mve,\
    paf,vivo,filmstrip,amv,bethsoftvid,c93,cine,cdxl,dsicin,ea,gdv,hnm,idcin,ifv,iv8,jv,lmlm4,mm,psxstr,r3d,rl2,rpl,\
    segafilm,siff,smush,tiertexseq,tmv,txd,ty,vmd,wc3movie,yop";

/// Maximum number of frames that one run of `ffmpeg` selects: the filter expression must fit into a command line.
const MAX_SELECTED: usize = 64;

/// Minimum number of skipped frames for which another run of `ffmpeg` with a seek is faster than decoding them.
const SEEK_DISTANCE: usize = 60;

/// Margin in microseconds subtracted from the time to which `ffprobe` seeks: in some formats it seeks too far.
const SEEK_MARGIN: i64 = 10_000_000;

/// Decodes a container with FFmpeg's programs.
#[derive(Debug)]
pub(crate) struct Programs {
    /// The file as a URL, which cannot be mistaken for an option or another protocol.
    url: OsString,
    /// Temporary file for a video in memory.
    _file: Option<tempfile::NamedTempFile>,
    probe: Probe,
    threads: String,
    isolation: Option<Isolation>,
}

impl Programs {
    pub(crate) fn open(bytes: Bytes, limits: &Limits, deadline: &Deadline) -> Result<Self, Error> {
        let (url, file) = match bytes {
            Bytes::File(path) => (file_url(&path), None),
            Bytes::Memory(bytes) => {
                let io = |source| Error::Io { path: std::env::temp_dir(), source };
                let file = tempfile::NamedTempFile::new().map_err(io)?;
                std::fs::write(file.path(), &bytes).map_err(io)?;
                (file_url(file.path()), Some(file))
            }
        };
        let threads = limits.decoder_threads().to_string();
        let isolation = limits.isolation.clone();
        let mut command = ffprobe(&url, &threads, isolation.as_ref());
        command.args(["-show_entries", STREAM_ENTRIES, "-of", "flat"]);
        let mut entries = Entries::default();
        let mut has_entries = false;
        let (succeeded, message) = each_line(&mut command, isolation.as_ref(), deadline, |line| {
            has_entries = true;
            entries.add(line);
            Ok(())
        })?;
        if !succeeded && !has_entries {
            let message = if message.is_empty() { "ffprobe failed".to_owned() } else { message };
            return Err(Error::Decode { message });
        }
        let probe = Probe::new(&entries, limits)?;
        Ok(Self { url, _file: file, probe, threads, isolation })
    }

    /// Decodes frames with one run of `ffmpeg` and passes each on with its position: its time if `by_time`, otherwise
    /// its index. `each` returns whether to continue.
    fn select(
        &self,
        targets: &[i64],
        by_time: bool,
        seek: Option<i64>,
        deadline: &Deadline,
        each: &mut dyn FnMut(i64, Vec<u8>) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let Stream { index, width, height, .. } = self.probe.stream;
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-hide_banner", "-nostats", "-loglevel", "level+info", "-threads", &self.threads]);
        command.args(["-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-noautorotate", "-copyts"]);
        command.args(self.isolation.as_ref().map(|_| Isolation::arguments()).into_iter().flatten());
        if let Some(time) = seek {
            let (sign, time) = (if time < 0 { "-" } else { "" }, time.unsigned_abs());
            let seconds = format!("{sign}{}.{:06}", time / 1_000_000, time % 1_000_000);
            command.args(["-seek_timestamp", "1", "-noaccurate_seek", "-ss", &seconds]);
        }
        let format = self.probe.conversion.map_or("rgb24", |(_, format)| format);
        // `settb` and `setpts` make the output times ascend.
        let filter = format!(
            "select='{}',showinfo,settb=1/25,setpts=N,\
             scale={width}:{height}:flags=bilinear:in_color_matrix=bt601:in_range={range}:out_range={range},format={format}",
            expression(targets, by_time),
            range = match format {
                // Keeps the range.
                "yuv444p" => "tv",
                "yuvj444p" => "pc",
                _ => "auto",
            },
        );
        command.arg("-i").arg(&self.url);
        command.args(["-map", &format!("0:{index}"), "-vf", &filter, "-frames:v", &targets.len().to_string()]);
        command.args(["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", format, "pipe:1"]);
        let size = width as usize * height as usize * 3;
        let mut process = ChildProcess::start(
            "ffmpeg",
            &mut command,
            Chunks::Buffers(size),
            self.isolation.as_ref(),
            deadline,
            |line| shown_time(line).is_some(),
        )?;
        let mut counted = targets.iter();
        let mut is_empty = true;
        while let Some(pixels) = process.next()? {
            is_empty = false;
            let time = process.next_log_line()?.as_deref().and_then(shown_time);
            let position = if by_time { time } else { counted.next().copied() };
            let Some(position) = position else { break };
            if !each(position, pixels)? {
                break;
            }
        }
        if is_empty {
            let (succeeded, message) = process.finish()?;
            if !succeeded && !message.is_empty() {
                return Err(Error::Decode { message });
            }
        }
        Ok(())
    }

    /// The frame in RGB with its orientation applied.
    fn image(&self, pixels: Vec<u8>) -> Result<Rgb, Error> {
        let Stream { width, height, exif, .. } = self.probe.stream;
        let data = match self.probe.conversion {
            None => pixels,
            Some((matrix, _)) => {
                let plane = width as usize * height as usize;
                let mut data = Vec::with_capacity(3 * plane);
                let (luma, chroma) = pixels.split_at(plane.min(pixels.len()));
                let (blue, red) = chroma.split_at(plane.min(chroma.len()));
                matrix.append_row(luma, blue, red, &mut data);
                data
            }
        };
        let image = Rgb::new(width, height, data).map_err(|source| Error::Processor { source })?;
        Ok(image.with_orientation(exif))
    }
}

impl Decoder for Programs {
    fn stream(&self) -> &Stream {
        &self.probe.stream
    }

    fn packets(&mut self, deadline: &Deadline, each: &mut dyn FnMut(Packet) -> Result<(), Error>) -> Result<(), Error> {
        let mut command = ffprobe(&self.url, &self.threads, self.isolation.as_ref());
        command.args(["-select_streams", &self.probe.stream.index.to_string()]);
        command.args(["-show_entries", PACKET_ENTRIES, "-of", "compact=p=0"]);
        each_line(&mut command, self.isolation.as_ref(), deadline, |line| {
            probe::packet(line).map_or(Ok(()), &mut *each)
        })?;
        Ok(())
    }

    fn decode_times(
        &mut self,
        from: Option<(i64, &Index)>,
        deadline: &Deadline,
        each: &mut dyn FnMut(Option<i64>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut command = ffprobe(&self.url, &self.threads, self.isolation.as_ref());
        command.args(["-select_streams", &self.probe.stream.index.to_string()]);
        let time = from.and_then(|(key, _)| self.probe.stream.time_base.microseconds(key));
        if let Some(time) = time.map(|time| time.saturating_sub(SEEK_MARGIN)).filter(|&time| time > 0) {
            command.args(["-read_intervals", &format!("{}.{:06}%", time / 1_000_000, time % 1_000_000)]);
        }
        // With frame threading, ffprobe loses the frames after a damaged packet at the end.
        command.args(["-thread_type", "slice"]);
        command.args(["-show_entries", "frame=best_effort_timestamp", "-of", "default=nw=1"]);
        each_line(&mut command, self.isolation.as_ref(), deadline, |line| {
            match line.strip_prefix("best_effort_timestamp=") {
                Some(time) => each(time.parse().ok()),
                None => Ok(()),
            }
        })?;
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
        let position = |at: usize| if index.by_time { index.times.get(at).copied() } else { i64::try_from(at).ok() };
        let mut rest = indices;
        let mut can_seek = index.by_time;
        while let Some(&first) = rest.first() {
            // The number of frames requested from this run.
            let count = if can_seek { run_length(index, rest) } else { rest.len().min(MAX_SELECTED) };
            let positions: Option<Vec<i64>> = rest[..count].iter().map(|&at| position(at)).collect();
            let positions = positions.ok_or_else(|| missing(first))?;
            let key = index.key_before(positions[0]).filter(|key| can_seek && index.keys.first() != Some(key));
            let seek = key.and_then(|key| self.probe.stream.time_base.microseconds(key));
            let mut done = 0;
            self.select(&positions, index.by_time, seek, deadline, &mut |found, pixels| {
                if done == 0 && seek.is_some() && positions.first().is_some_and(|&first| found != first) {
                    // The seek went past the frame.
                    return Ok(false);
                }
                let image = self.image(pixels)?;
                while positions.get(done).is_some_and(|&target| target <= found) {
                    sink(rest[done], &image)?;
                    done += 1;
                }
                Ok(done < count)
            })?;
            if done == 0 && seek.is_none() {
                return Err(missing(first));
            }
            // If a seek missed the frame, the next run decodes from the start.
            can_seek = index.by_time && done > 0;
            rest = &rest[done..];
        }
        Ok(())
    }
}

/// The number of leading frames to decode in one run of `ffmpeg`: up to a frame to which seeking is faster.
fn run_length(index: &Index, indices: &[usize]) -> usize {
    let is_far = |pair: &[usize]| {
        let key = index.times.get(pair[1]).and_then(|&time| index.key_before(time));
        let key = key.map_or(0, |key| index.times.partition_point(|&time| time < key));
        key.saturating_sub(pair[0]) > SEEK_DISTANCE
    };
    let near = indices.windows(2).position(is_far).map_or(indices.len(), |at| at + 1);
    near.min(MAX_SELECTED)
}

/// The expression that selects the first frame at or after each target.
fn expression(targets: &[i64], by_time: bool) -> String {
    let mut expression = String::new();
    for target in targets {
        let plus = if expression.is_empty() { "" } else { "+" };
        // Writing to a string cannot fail. Before the first frame, `prev_pts` is NaN, for which `gte` is 0.
        let _ = match by_time {
            true => write!(expression, "{plus}gte(pts,{target})*not(gte(prev_pts,{target}))"),
            false => write!(expression, "{plus}eq(n,{target})"),
        };
    }
    expression
}

/// The time in a line of the filter `showinfo`: `[Parsed_showinfo_1 @ 0x55] [info] n: 0 pts: 24576 pts_time:1.5 ...`.
fn shown_time(line: &str) -> Option<i64> {
    if !line.starts_with("[Parsed_showinfo") {
        return None;
    }
    let (_, time) = line.split_once(" pts:")?;
    time.split_whitespace().next()?.parse().ok()
}

/// The URL of a file. Everything after `file:` is the path.
fn file_url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(path);
    url
}

/// The command `ffprobe` for a file, without the entries to print.
fn ffprobe(url: &OsStr, threads: &str, isolation: Option<&Isolation>) -> Command {
    let mut command = Command::new("ffprobe");
    command.args(["-hide_banner", "-loglevel", "level+error", "-threads", threads]);
    command.args(["-protocol_whitelist", "file", "-format_whitelist", FORMATS]);
    command.args(isolation.map(|_| Isolation::arguments()).into_iter().flatten());
    command.arg("-i").arg(url);
    command
}

/// Runs `ffprobe` and passes on each line of its output. Returns whether it succeeded, and its error message.
fn each_line(
    command: &mut Command,
    isolation: Option<&Isolation>,
    deadline: &Deadline,
    mut each: impl FnMut(&str) -> Result<(), Error>,
) -> Result<(bool, String), Error> {
    let mut process = ChildProcess::start("ffprobe", command, Chunks::Lines, isolation, deadline, |_| false)?;
    while let Some(line) = process.next()? {
        each(&String::from_utf8_lossy(&line))?;
    }
    process.finish()
}

#[cfg(test)]
mod tests {
    use super::{expression, file_url, run_length, shown_time};
    use crate::index::Index;
    use std::path::Path;

    #[test]
    fn frames_are_selected_by_time_or_number() {
        assert_eq!(expression(&[5, 7], false), "eq(n,5)+eq(n,7)");
        assert_eq!(expression(&[-5], true), "gte(pts,-5)*not(gte(prev_pts,-5))");
    }

    #[test]
    fn times_are_parsed_from_showinfo_lines() {
        let line = "[Parsed_showinfo_1 @ 0x5] [info] n:   0 pts:  24576 pts_time:1.5     pos:      961 fmt:yuv420p";
        assert_eq!(shown_time(line), Some(24_576));
        assert_eq!(shown_time("[Parsed_showinfo_1 @ 0x5] [info] config in time_base: 1/16384"), None);
        assert_eq!(shown_time("[info] title: x pts:  3"), None);
    }

    #[test]
    fn every_path_becomes_a_file_url() {
        assert_eq!(file_url(Path::new("-i")), "file:-i");
        assert_eq!(file_url(Path::new("http://host/a.mp4")), "file:http://host/a.mp4");
    }

    #[test]
    fn distant_frames_start_another_run() {
        let times: Vec<i64> = (0..2000).collect();
        let keys: Vec<i64> = (0..20).map(|key| key * 100).collect();
        let index = Index { frames: 2000, times, by_time: true, keys, ..Index::default() };
        assert_eq!(run_length(&index, &[0, 10, 60, 1999]), 3);
        assert_eq!(run_length(&index, &[0, 500]), 1);
        assert_eq!(run_length(&index, &Vec::from_iter(0..100)), 64);
    }
}
