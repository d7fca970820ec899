#![doc = include_str!("../README.md")]

mod command;
mod conversation;
mod error;
mod fork;
mod image;
mod interrupt;
mod media;
mod model;
mod notifier;
mod options;
mod processor;
mod stream;
mod tokenizer;
mod video;

// Tensors of several megabytes are allocated and freed often: the system allocator maps each anew, with page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The compiled part of the package, described in `python/smolvlm/_native.pyi`.
#[pyo3::pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use crate::command::run_command;
    #[pymodule_export]
    use crate::conversation::Conversation;
    #[pymodule_export]
    use crate::image::ImageProcessor;
    #[pymodule_export]
    use crate::interrupt::Cancel;
    #[pymodule_export]
    use crate::media::Frames;
    #[pymodule_export]
    use crate::model::{Model, estimate, presets};
    #[pymodule_export]
    use crate::processor::Processor;
    #[pymodule_export]
    use crate::stream::Stream;
    #[pymodule_export]
    use crate::tokenizer::Tokenizer;
    #[pymodule_export]
    use crate::video::{VideoPlan, VideoProcessor};
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        crate::error::add_to(module)
    }
}
