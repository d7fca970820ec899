#![doc = include_str!("../README.md")]

mod drafts;
mod folder;
mod output;
mod same;
mod target;

pub use drafts::{discard_drafts, is_draft};
pub use folder::DraftFolder;
pub use output::{Draft, OutputFile, write};
pub use same::is_same_file;
