//! GGUF files of llama.cpp: a text model (architecture `llama`) and an `mmproj` file with vision encoder and connector
//! (projector `idefics3`).
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

mod config;
mod config_error;
mod cursor;
mod decode;
mod encode;
mod export;
mod file;
mod generation;
mod ggml_type;
mod header;
mod metadata;
mod model;
mod names;
mod value;
mod vocabulary;
mod writer;

pub(crate) use decode::decode_row;
pub use export::GgufExport;
pub use ggml_type::GgmlType;
pub use model::{GgufKind, GgufModel};
pub(crate) use names::{RowOrder, gguf_name};
pub use vocabulary::{GgufTokenKind, GgufVocabulary};

/// The first bytes of a GGUF file.
pub const GGUF_MAGIC: [u8; 4] = *b"GGUF";

/// Text of a file that may not be UTF-8, for messages.
fn lossy(bytes: &[u8]) -> String {
    crate::header::readable(&String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]))
}
