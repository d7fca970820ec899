//! Launches that are recorded as one graph and replayed with one call.

use cubecl::client::Graph;
use cubecl::prelude::Client;
use cubecl::server::{Handle, ServerError};
use cubecl_environment::stream::StreamId;

/// A computation that always reads and writes the same memory of one stream. It is recorded when it runs for the second
/// time, when its kernels are compiled, and replayed from then on.
pub struct Recording {
    stream: StreamId,
    state: State,
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
    /// A recording on the current stream of a computation with these buffers, which must live as long as it.
    pub fn new<'a>(buffers: impl IntoIterator<Item = &'a Handle>) -> Self {
        let stream = StreamId::current();
        let together = buffers.into_iter().all(|handle| handle.stream == stream);
        Self { stream, state: if together { State::New } else { State::Impossible } }
    }

    /// Runs the computation: `prepare` writes its inputs, `launch` launches its kernels and must not access the device
    /// in another way. If a recording fails, the computation starts again; `prepare` is then called with true, and must
    /// write all inputs that `launch` changes.
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
                    // The device refuses to read what a failed recording would have written.
                    Err(_) => {
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

fn replay(graph: &Graph) -> Result<(), ServerError> {
    // SAFETY: its buffers live, as `Recording::new` requires, and its launches follow each other on their stream.
    unsafe { graph.replay() }
}
