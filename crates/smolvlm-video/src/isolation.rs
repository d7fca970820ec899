//! Decoding of containers in child processes that can do little harm.

use std::process::Child;
use std::time::Duration;

/// Common codecs of the web and of cameras. Others, whose decoders are less tested, are the usual way to attack FFmpeg.
const CODECS: &str = "h264,hevc,vp8,vp9,libvpx,libvpx-vp9,av1,libdav1d,libaom-av1,mpeg1video,mpeg2video,mpeg4,\
    msmpeg4v2,msmpeg4,h263,flv,theora,mjpeg,vc1,wmv1,wmv2,wmv3,prores,ffv1,rawvideo";

/// Limits of the child processes that decode the containers of strangers.
///
/// With them, containers are decoded by FFmpeg's programs, whatever the cargo features, and only those with common
/// codecs. Memory and processor time are limited on Linux only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// Maximum address space of a process in bytes. 4 GiB by default: the threads of a decoder reserve more than they
    /// use.
    pub max_memory: u64,
    /// Maximum processor time of a process. Two minutes by default.
    pub max_processor_time: Duration,
}

impl Default for Isolation {
    fn default() -> Self {
        Self { max_memory: 4 << 30, max_processor_time: Duration::from_secs(120) }
    }
}

impl Isolation {
    /// Arguments of `ffmpeg` and `ffprobe` before the input.
    pub(crate) fn arguments() -> [&'static str; 2] {
        ["-codec_whitelist", CODECS]
    }

    /// Limits a process that has just started. It can write no files, and leaves no core dump.
    #[cfg(target_os = "linux")]
    pub(crate) fn confine(&self, child: &Child) -> std::io::Result<()> {
        use rustix::process::{Pid, Resource, Rlimit, prlimit};
        let seconds = self.max_processor_time.as_secs().max(1);
        let limits = [
            (Resource::As, self.max_memory),
            (Resource::Cpu, seconds),
            (Resource::Fsize, 0),
            (Resource::Core, 0),
            (Resource::Nofile, 64),
        ];
        let pid = Pid::from_child(child);
        for (resource, limit) in limits {
            prlimit(Some(pid), resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
        }
        Ok(())
    }

    /// Other systems have no such limits.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn confine(&self, _: &Child) -> std::io::Result<()> {
        Ok(())
    }
}
