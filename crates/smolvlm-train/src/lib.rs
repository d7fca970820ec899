//! Training SmolVLM on the CPU, from scratch or from a checkpoint.
//!
//! [`Trainer`] takes a model, a processor and a [`Dataset`] of conversations, and trains on the assistant's messages.
//! The samples of each step are divided among threads; meanwhile the next batch is rendered, tokenized and split into
//! tiles.
//!
//! ```
//! use smolvlm_config::Preset;
//! use smolvlm_processor::{Message, Processor, RELEASED_CHAT_TEMPLATE, synthetic_tokenizer};
//! use smolvlm_train::{Example, TrainConfig, Trainer, initial_model};
//!
//! let preset = Preset::Tiny;
//! let tokenizer = synthetic_tokenizer(preset.model().text.vocab_size)?;
//! let processor = Processor::new(preset.processor(), tokenizer, Some(RELEASED_CHAT_TEMPLATE.to_owned()))?;
//! let samples = vec![Example::answer(Message::user().text("1 + 1?"), "2")];
//!
//! let config = TrainConfig { steps: 3, batch_size: 1, learning_rate: 1e-3, ..TrainConfig::default() };
//! let trained = Trainer::new(config)?.run(initial_model(&preset.model(), 0)?, &processor, &samples, None, &mut ())?;
//! assert!(trained.loss.is_finite());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod assistant_spans;
mod checkpoint;
mod config;
mod dataset;
mod error;
mod jsonl;
mod load;
mod lora;
mod metrics;
mod muon;
mod optimizer;
mod order;
mod parameters;
#[cfg(feature = "plot")]
mod plot;
mod prefetch;
mod random;
mod sample;
mod schedule;
mod step;
mod trainer;
mod workers;

pub use checkpoint::{latest_checkpoint, save_model};
pub use config::{Optimizer, Policy, TrainConfig};
pub use dataset::{Dataset, Example, Generated};
pub use error::{Error, SampleError};
pub use jsonl::JsonLines;
pub use load::{load_model, load_weights};
pub use lora::{LoraConfig, load_adapters, merge_adapters, save_adapters};
pub use metrics::{EvalMetrics, Observer, StepMetrics};
pub use parameters::initial_model;
#[cfg(feature = "plot")]
pub use plot::plot_metrics;
pub use sample::Sample;
pub use schedule::Schedule;
pub use trainer::{Trained, Trainer, evaluate};
