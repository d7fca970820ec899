//! SmolVLM vision-language models: load a checkpoint, ask about images and videos, stream the answer.
//!
//! ```no_run
//! use smolvlm::{Message, Options, SmolVlm, Source};
//!
//! # fn main() -> Result<(), smolvlm::Error> {
//! let model = SmolVlm::load(Source::directory("SmolVLM2-256M-Video-Instruct"), Options::default())?;
//! let answer = model.chat([Message::user().image("photo.jpg").text("What is in this picture?")])?;
//! println!("{}", answer.text());
//! # Ok(())
//! # }
//! ```
//!
//! The facade over the crates below; it re-exports the types that its signatures use, at its root or in these modules.
//! Each layer is a separate crate: [`config`], [`image`], [`processor`], [`generate`], [`checkpoint`] (no tensor
//! library) and [`model`] ([`burn`]).
//!
//! # Features
//!
//! | feature | default | effect |
//! |---|---|---|
//! | `flex` | yes | Burn's CPU backend, pure Rust |
//! | `ndarray` | no | Burn's older CPU backend, f32 only |
//! | `wgpu`, `vulkan`, `metal`, `webgpu`, `cuda` | no | GPU backends, see [`Device`]; `wgpu` runs on any GPU |
//! | `cuda-nvrtc` | no | `cuda` with kernels compiled by NVIDIA's NVRTC instead of LLVM |
//! | `cubecl-cpu` | no | CubeCL's CPU backend |
//! | `persistence` | no | compiled GPU kernels are cached on disk between runs |
//! | `autotune`, `fusion` | no | Burn selects its GPU kernels by timing them; it fuses element-wise operations |
//! | `async` | no | `Stream::into_async`: answers as a `futures::Stream` |
//! | `constrain` | no | [`SamplingParams::constraint`]: answers that match a JSON schema, a regex or a grammar |
//! | `demo` | no | [`Source::Demo`]: a small trained model embedded in the program, 5 MB |
//! | `hub` | no | [`Source::Hub`]: checkpoints from the Hugging Face Hub, in the cache shared with its other tools |
//! | `http` | no | images and videos by `http:` and `https:` URL in conversations |
//! | `video` | no | video containers (MP4, MKV, WebM, ...) through FFmpeg's libraries (5.1 or newer), not programs |

mod adapter;
mod admission;
mod beams;
mod chat;
mod checkpoint_files;
mod checkpoint_folder;
mod constrain;
mod decide;
mod device;
mod engine;
mod error;
mod error_kind;
mod estimate;
#[cfg(feature = "flex")]
mod export_gguf;
mod features;
mod forward;
mod generation;
mod gguf;
mod hidden;
#[cfg(feature = "hub")]
pub mod hub;
mod media_positions;
mod missing_files;
mod open_checkpoint;
mod options;
mod process;
mod progress;
mod prompt;
mod sequence;
mod smolvlm;
mod source;
mod spelling;
mod stream;
mod submit;
mod threads;
mod write_checkpoint;

pub use burn;
pub use smolvlm_checkpoint as checkpoint;
pub use smolvlm_config as config;
#[cfg(feature = "demo")]
pub use smolvlm_demo as demo;
pub use smolvlm_generate as generate;
pub use smolvlm_image as image;
pub use smolvlm_model as model;
pub use smolvlm_processor as processor;

pub use adapter::Adapter;
pub use chat::{Chat, ChatStream};
pub use checkpoint_files::is_checkpoint_file;
pub use config::{Preset, ResizePolicy};
pub use decide::{
    Calibration, DecideOptions, Decision, Decisions, OptionScore, Question, QuestionKind, expected_calibration_error,
};
pub use device::{Device, DeviceInfo, devices};
pub use engine::EngineStats;
pub use error::Error;
pub use error_kind::ErrorKind;
pub use estimate::{Estimator, MemoryEstimate, RequestEstimate};
pub use features::FeatureCacheOptions;
pub use forward::{Forward, ForwardRequest};
pub use generate::{Constraint, FinishReason, LoopGuard, SamplingParams, TokenLogprobs};
pub use generation::{Generation, Timings};
pub use hidden::HiddenStates;
pub use image::Rgb;
pub use model::{HostTensor, LoadReport, WeightFormat};
pub use open_checkpoint::Checkpoint;
pub use options::{Dtype, Options, Truncation};
pub use processor::{
    AddressRule, Cancel, Content, Conversation, Estimate, FrameList, HostPattern, ImageSource, IpNetwork, MediaOptions,
    MediaPolicy, MediaScheme, Message, ProcessorLimits, Ratio, RenderOptions, VideoNote, VideoPromptStyle, VideoSource,
};
pub use progress::Progress;
pub use prompt::Prompt;
pub use smolvlm::SmolVlm;
pub use smolvlm_kernels::PeakRates;
pub use source::Source;
#[cfg(feature = "async")]
pub use stream::AsyncStream;
pub use stream::{Event, Stream};
pub use threads::default_threads;
pub use write_checkpoint::write_random_checkpoint;
#[cfg(feature = "flex")]
pub use {
    export_gguf::{GgufTypes, export_gguf, is_replaced_by_export},
    write_checkpoint::quantize,
};
