//! Panics on the threads of a GPU backend. The backend catches them and fails later with a less specific error.

use std::sync::OnceLock;
use std::thread;

static FIRST: OnceLock<String> = OnceLock::new();

/// Installs a panic hook that records the first panic of a backend for the error message instead of printing it.
pub fn record_backend_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // As CubeCL names them: device stage, kind, number.
        let backend = thread::current().name().is_some_and(|name| name.starts_with("DSD-") || name.starts_with("DSU-"));
        if !backend {
            return print(panic);
        }
        FIRST
            .get_or_init(|| panic.payload_as_str().unwrap_or("the backend failed without an error message").to_owned());
    }));
}

/// The message of the first backend panic.
pub fn first_backend_panic() -> Option<&'static str> {
    FIRST.get().map(String::as_str)
}
