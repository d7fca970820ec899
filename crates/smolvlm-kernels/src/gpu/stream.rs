//! GPU streams.

use cubecl_environment::stream::StreamId;

/// A stream of GPU operations with memory of its own. By default, each thread has one; a launch that reads memory of
/// another stream waits for it and cannot be recorded, and a recording contains all that is launched on its stream
/// meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpuStream(StreamId);

impl GpuStream {
    /// A stream that no thread uses by default.
    #[must_use]
    pub fn allocate() -> Self {
        Self(StreamId::allocate())
    }

    /// The stream of this thread.
    pub fn current() -> Self {
        Self(StreamId::current())
    }

    /// Runs `work` with all its GPU operations on this stream, whichever thread calls it.
    pub fn run<T>(self, work: impl FnOnce() -> T) -> T {
        self.0.executes(work)
    }
}
