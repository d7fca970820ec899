//! Launches that are recorded as one graph and replayed with one call.

use cubecl::client::Graph;
use cubecl::prelude::*;
use cubecl::server::{Handle, ServerError};
use cubecl_environment::stream::StreamId;

/// Number of failed recordings after which there are no others.
const MAX_FAILURES: u8 = 2;

/// A computation that always reads and writes the same memory of one stream. It is recorded when it runs for the second
/// time, when its kernels are compiled, and replayed from then on.
pub struct Recording {
    stream: StreamId,
    state: State,
    /// What it writes and reads again.
    written: Vec<Handle>,
}

enum State {
    /// It has not run yet.
    New,
    /// It ran once, launch by launch, and so many recordings have failed.
    Compiled { failures: u8 },
    /// It can be replayed.
    Recorded(Graph),
    /// The device cannot record it, or memory belongs to other streams.
    Impossible,
}

impl Recording {
    /// A recording on the current stream of a computation that reads and writes these buffers, which live as long as
    /// it.
    pub fn new<'a>(read: impl IntoIterator<Item = &'a Handle>, written: Vec<Handle>) -> Self {
        let stream = StreamId::current();
        let same = |handle: &Handle| handle.stream == stream;
        let together = read.into_iter().all(same) && written.iter().all(same);
        Self { stream, state: if together { State::New } else { State::Impossible }, written }
    }

    /// The recording of a computation that has run before: it is recorded when it runs for the first time.
    #[must_use]
    pub fn of_compiled(mut self) -> Self {
        if let State::New = self.state {
            self.state = State::Compiled { failures: 0 };
        }
        self
    }

    /// Whether the current stream is that of its memory.
    pub fn is_on_this_stream(&self) -> bool {
        StreamId::current() == self.stream
    }

    /// Runs the computation: `prepare` writes its inputs, `launch` launches its kernels and must not access the device
    /// in another way. If a recording fails, the computation starts again; `prepare` is then called with true, and must
    /// also write what the first launches have changed, if that makes a difference.
    pub fn run(&mut self, client: &Client, prepare: impl Fn(bool), mut launch: impl FnMut()) {
        if !self.is_on_this_stream() {
            self.state = State::Impossible;
        }
        match std::mem::replace(&mut self.state, State::Impossible) {
            State::New => {
                prepare(false);
                launch();
                self.state = State::Compiled { failures: 0 };
            }
            State::Compiled { failures } => {
                // Another recording of the device, or memory that is not free yet, can be in the way.
                let retries = if failures + 1 < MAX_FAILURES {
                    State::Compiled { failures: failures + 1 }
                } else {
                    State::Impossible
                };
                // Without success, another recording could be in progress, which must not be closed here.
                let window = client.graph_prepare().is_ok().then(|| Window(client));
                prepare(false);
                launch();
                let Some(window) = window.filter(|_| client.start_capture().is_ok()) else {
                    // The launches so far are the computation.
                    self.state = retries;
                    return;
                };
                launch();
                match window.close() {
                    Ok(graph) => self.state = State::Recorded(graph),
                    Err(_) => {
                        self.state = retries;
                        self.written.iter().for_each(|buffer| mark_written(client, buffer));
                        prepare(true);
                        launch();
                    }
                }
            }
            State::Recorded(graph) => {
                prepare(false);
                if replay(&graph).is_ok() {
                    self.state = State::Recorded(graph);
                } else {
                    self.written.iter().for_each(|buffer| mark_written(client, buffer));
                    prepare(true);
                    launch();
                }
            }
            State::Impossible => {
                prepare(false);
                launch();
            }
        }
    }

    /// Replays the computation on the same inputs, or launches it if it is not recorded.
    pub fn run_again(&mut self, mut launch: impl FnMut()) {
        if let State::Recorded(graph) = &self.state
            && self.is_on_this_stream()
            && replay(graph).is_ok()
        {
            return;
        }
        launch();
    }
}

/// A recording in progress. It ends also if a launch panics: otherwise the stream would record all later ones.
struct Window<'a>(&'a Client);

impl Window<'_> {
    fn close(self) -> Result<Graph, ServerError> {
        let client = self.0;
        std::mem::forget(self);
        client.stop_capture()
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        // Its error is that nothing was recorded.
        drop(self.0.stop_capture());
    }
}

/// Launches a kernel that could write to a buffer, but leaves it as it is. CubeCL refuses to read what a failed
/// recording would have written, until something else writes it.
fn mark_written(client: &Client, buffer: &Handle) {
    // SAFETY: no value is accessed.
    unsafe {
        let arg = BufferArg::from_raw_parts(buffer.clone(), 1);
        write_nothing::launch_unchecked(client, CubeCount::Static(1, 1, 1), CubeDim::new_1d(1), arg, 0);
    }
}

#[cube(launch_unchecked)]
fn write_nothing(buffer: &mut [u32], count: u32) {
    if UNIT_POS < count {
        buffer[UNIT_POS as usize] = 0;
    }
}

fn replay(graph: &Graph) -> Result<(), ServerError> {
    // SAFETY: its buffers live, as `Recording::new` requires, and its launches follow each other on their stream.
    unsafe { graph.replay() }
}
