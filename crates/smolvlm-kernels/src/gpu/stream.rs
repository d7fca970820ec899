//! The stream that a card's work is on.

use cubecl_environment::stream::StreamId;

/// One for all models: CubeCL's streams are those of threads otherwise, each with memory of its own, and a launch that reads
/// another stream's memory waits for it and cannot be recorded.
const STREAM: StreamId = StreamId { value: 0 };

/// Does work whose operations on cards are on one stream, whichever thread does it.
pub fn on_stream<T>(work: impl FnOnce() -> T) -> T {
    STREAM.executes(work)
}
