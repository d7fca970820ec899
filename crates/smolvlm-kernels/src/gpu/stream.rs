//! The GPU stream.

use cubecl_environment::stream::StreamId;

/// The stream of all models. By default, each thread has its own CubeCL stream with its own memory, and a launch that
/// reads memory of another stream waits for it and cannot be recorded.
const STREAM: StreamId = StreamId { value: 0 };

/// Runs `work` with all its GPU operations on one stream, whichever thread calls it.
pub fn on_stream<T>(work: impl FnOnce() -> T) -> T {
    STREAM.executes(work)
}
