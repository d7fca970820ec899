//! Launches that are recorded as one graph and replayed with one call.

use cubecl::client::Graph;
use cubecl::prelude::*;
use cubecl::server::{Handle, ServerError};
use cubecl_environment::stream::StreamId;

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
    /// It ran once, launch by launch.
    Compiled,
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
            self.state = State::Compiled;
        }
        self
    }

    /// Runs the computation: `prepare` writes its inputs, `launch` launches its kernels and must not access the device
    /// in another way. If a recording fails, the computation starts again; `prepare` is then called with true, and must
    /// also write what the first launches have changed, if that makes a difference.
    pub fn run(&mut self, client: &Client, prepare: impl Fn(bool), mut launch: impl FnMut()) {
        if StreamId::current() != self.stream {
            self.state = State::Impossible;
        }
        match std::mem::replace(&mut self.state, State::Impossible) {
            State::New => {
                prepare(false);
                launch();
                self.state = State::Compiled;
            }
            State::Compiled => {
                let prepared = client.graph_prepare();
                prepare(false);
                launch();
                // Without support of the device, the launches so far are the computation.
                if prepared.and_then(|()| client.start_capture()).is_err() {
                    return;
                }
                launch();
                match client.stop_capture() {
                    Ok(graph) => self.state = State::Recorded(graph),
                    Err(_) => {
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
            && StreamId::current() == self.stream
            && replay(graph).is_ok()
        {
            return;
        }
        launch();
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
