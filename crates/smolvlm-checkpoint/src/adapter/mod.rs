//! LoRA adapters (Hu et al. 2022, arXiv 2106.09685) in the file layout of the Python package PEFT 0.21, which are
//! merged into the weights when these are read.

mod config;
mod files;
mod merge;

pub use config::{ADAPTER_CONFIG, PeftConfig};
pub use files::{ADAPTER_WEIGHTS, LoraLayer, PEFT_PREFIX, PeftAdapter};
pub(crate) use merge::LoraDelta;
