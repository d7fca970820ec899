//! Conversations to SmolVLM model inputs: chat template, tokenizer, prompt expansion, batches.
//!
//! A [`Conversation`] of [`Message`]s goes through the [`Processor`] and comes out as a [`Batch`]: token ids padded on the
//! left, an attention mask, and the tiles of every image and video. Nothing here needs a tensor library, so the batch can feed any
//! runtime; [`TextDeltas`] turns the ids it answers with back into text, piece by piece.
//!
//! ```
//! use smolvlm_config::ProcessorConfig;
//! use smolvlm_processor::{Message, Processor, RELEASED_CHAT_TEMPLATE, RenderOptions, synthetic_tokenizer};
//!
//! let template = RELEASED_CHAT_TEMPLATE.to_owned();
//! let tokenizer = synthetic_tokenizer(49_280)?;
//! let processor = Processor::new(ProcessorConfig::default(), tokenizer, Some(template))?;
//! let prompt = processor.render(&Message::user().text("Hello!").into(), &RenderOptions::answer())?;
//! assert_eq!(prompt, "<|im_start|>User: Hello!<end_of_utterance>\nAssistant:");
//! # Ok::<(), smolvlm_processor::Error>(())
//! ```
//!
//! # Untrusted conversations
//!
//! A conversation can name files and addresses. [`Conversation::from_json_untrusted`] accepts only media that are data inside
//! the conversation; [`Processor::with_media_policy`] sets which files, hosts and addresses a program opens, see
//! [`MediaPolicy`]. [`ProcessorLimits`] bound the size of each medium, and [`Processor::prepare`] counts a prompt before any
//! pixel is decoded. `https:` servers are checked against the certificates of `SSL_CERT_FILE` and `SSL_CERT_DIR` where these
//! variables are set.
//!
//! # Differences from the reference
//!
//! Behavior follows transformers 5.24.0 (`SmolVLMProcessor`), except that
//! - message content given as a plain string is one text item for a template that would drop strings, as the released one;
//! - an image or video item has exactly one source;
//! - images and videos mix in one conversation, in the order written, where the reference fails;
//! - a video announces its own number of frames and its stream's times; [`VideoWords::Reference`] has the reference's;
//! - without videos, `<video>` in a text is just text;
//! - a row of a batch that needs padding gets it on the left, whatever the tokenizer's configuration says;
//! - chat templates run with bounded work and nesting, and a `namespace` cannot hold another one.
//!
//! # Cargo features
//!
//! - `http`: fetch `http:` and `https:` URLs.
//! - `ffmpeg`: read video containers through the system's FFmpeg libraries instead of its programs; see [`smolvlm_video`].

mod batch;
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
mod media;
mod media_kind;
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
pub use error::{Error, Position, Problem};
pub use estimate::Estimate;
pub use host_pattern::HostPattern;
pub use limits::ProcessorLimits;
pub use media_kind::media_kind;
pub use message::{Content, Conversation, Message};
pub use network::Network;
pub use plan::{Media, MediaPlan};
pub use policy::{AddressRule, MediaPolicy, MediaScheme};
pub use prepare::Prepared;
pub use processor::Processor;
pub use smolvlm_config::{ProcessorConfig, TileGrid};
pub use smolvlm_image::{ImageProcessor, Rgb, Tiles};
pub use smolvlm_video::{MediaKind, Ratio, VideoNote, VideoPlan, VideoProcessor, VideoTiles};
pub use source::{FrameList, ImageSource, VideoSource};
pub use synthetic::synthetic_tokenizer;
pub use template::{ChatTemplate, RELEASED_CHAT_TEMPLATE, RenderOptions};
pub use text_deltas::TextDeltas;
pub use token_bytes::TokenBytes;
pub use tokenizer::{SpecialTokens, tokenizer_from_json};
pub use tokenizers::Tokenizer;
pub use video_prompt::VideoWords;
