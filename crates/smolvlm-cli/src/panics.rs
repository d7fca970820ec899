//! Panics on the threads of a graphics card's backend. The backend catches them and fails later, with less to say.

use std::sync::OnceLock;
use std::thread;

static FIRST: OnceLock<String> = OnceLock::new();

/// Keeps what backends panic about for the line that says why a command failed, instead of printing it.
pub fn keep_those_of_backends() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // As CubeCL names them: device stage, kind, number.
        let backend = thread::current().name().is_some_and(|name| name.starts_with("DSD-") || name.starts_with("DSU-"));
        if !backend {
            return print(panic);
        }
        FIRST.get_or_init(|| panic.payload_as_str().unwrap_or("the backend failed without a word").to_owned());
    }));
}

/// What a backend panicked about first.
pub fn first_of_backends() -> Option<&'static str> {
    FIRST.get().map(String::as_str)
}
