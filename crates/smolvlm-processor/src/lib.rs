#![doc = include_str!("../README.md")]
//!
//! # Untrusted conversations
//!
//! A conversation can refer to files and URLs. [`Conversation::from_json_untrusted`] accepts only inline media;
//! [`Processor::with_media_policy`] restricts which files, hosts and addresses may be accessed, see [`MediaPolicy`].
//! [`ProcessorLimits`] bound the size of each medium, and [`Processor::prepare`] counts the tokens of a prompt before
//! any pixel is decoded. Certificates of `https:` servers are verified against `SSL_CERT_FILE` and `SSL_CERT_DIR` if
//! these environment variables are set.
//!
//! # Differences from the reference
//!
//! Behavior follows transformers 5.24.0 (`SmolVLMProcessor`), except that
//! - message content given as a plain string is converted to one text item if the template would drop strings, as the
//!   released one does;
//! - an image or video item has exactly one source;
//! - a conversation can contain both images and videos, in any order, which the reference rejects;
//! - the prompt text of a video states its own number of frames and the timestamps of its stream;
//!   [`VideoPromptStyle::Reference`] selects the reference's behavior;
//! - without videos, `<video>` in a text is plain text;
//! - batches are always padded on the left, whatever the tokenizer's configuration says;
//! - the work and nesting depth of chat templates are bounded, and a `namespace` cannot contain another one.

mod batch;
mod byte_level;
mod control_tokens;
mod conversation_json;
mod encode;
mod error;
mod estimate;
mod expand;
mod files;
mod fit;
mod host_pattern;
#[cfg(feature = "http")]
mod http;
mod inline;
mod jpeg_header;
mod limits;
mod load;
mod media;
mod media_kind;
mod media_options;
mod message;
mod namespace;
mod network;
mod plan;
mod policy;
mod prepare;
mod process;
mod processor;
mod prompt;
mod source;
mod spans;
mod synthetic;
mod tags;
mod template;
mod template_env;
mod template_value;
mod text_deltas;
#[cfg(feature = "http")]
mod tls;
mod to_json;
mod token_bytes;
mod tokenizer;
mod video_prompt;
#[cfg(feature = "http")]
mod web;
mod words;

pub use batch::{Batch, PixelValues};
pub use byte_level::{ByteLevelVocabulary, TokenRole};
pub use error::{Error, Position, Problem};
pub use estimate::Estimate;
pub use host_pattern::HostPattern;
pub use limits::ProcessorLimits;
pub use load::{load_image, open_video};
pub use media_kind::media_kind;
pub use media_options::MediaOptions;
pub use message::{Content, Conversation, Message};
pub use network::IpNetwork;
pub use plan::{Media, MediaPlan};
pub use policy::{AddressRule, MediaPolicy, MediaScheme};
pub use prepare::{PrepareOptions, Prepared};
pub use processor::Processor;
pub use smolvlm_config::{
    DefaultPrompts, Error as ConfigError, ImageProcessorConfig, PixelConfig, Preset, ProcessorConfig, Resample,
    ResizePolicy, Size, TileGrid, VideoProcessorConfig,
};
pub use smolvlm_image::{Error as ImageError, ImageProcessor, Limits as ImageLimits, Rgb, Tiles};
pub use smolvlm_video::{
    Cancel, Error as VideoError, FramePlan, FrameSource, FrameStamp, Isolation, Limits as VideoLimits, MediaKind,
    Ratio, VideoMetadata, VideoNote, VideoPlan, VideoProcessor, VideoTiles,
};
pub use source::{FrameList, ImageSource, VideoSource};
pub use synthetic::synthetic_tokenizer;
pub use template::{ChatTemplate, RELEASED_CHAT_TEMPLATE, RenderOptions};
pub use text_deltas::TextDeltas;
pub use token_bytes::TokenBytes;
pub use tokenizer::{SpecialTokens, tokenizer_from_json};
pub use tokenizers::Tokenizer;
pub use video_prompt::VideoPromptStyle;
pub use words::cardinal;
