//! Command-line arguments.

mod batch;
mod constraint;
mod decide;
mod document;
mod model;
mod sampling;
#[cfg(feature = "server")]
mod serve;
#[cfg(feature = "train")]
mod train;

pub use batch::{Batch, Format, Shard};
pub use decide::Decide;
pub use document::{Document, DocumentFormat};
pub use model::Model;
pub use sampling::Sampling;
#[cfg(feature = "server")]
pub use serve::Serve;
#[cfg(feature = "train")]
pub use train::{Eval, Train};

use clap::{Args, Parser, Subcommand};
use smolvlm::{Dtype, Preset};
use std::ffi::OsString;
use std::path::PathBuf;

/// Ask SmolVLM vision-language models about images and videos.
#[derive(Debug, Parser)]
#[command(name = "smolvlm", version)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Describe images and videos; the answer streams to stdout, timings go to stderr
    Describe(Describe),
    /// Chat with the model; answers go to stdout. /help lists the commands. With input from a pipe, the exit code is 1
    /// if any line fails
    Chat(Chat),
    /// Answer questions about images and videos with the probabilities of their possible answers, without generating
    /// text
    Decide(Decide),
    /// Answer conversations from a JSON file in batches. Failures are reported on stderr, and the exit code is then 1
    Generate(Generate),
    /// Answer every row of a data set (JSONL, Parquet, a folder of images) of any length. Resumes if interrupted
    Batch(Box<Batch>),
    /// Convert images of pages, or PDF files, to Markdown, HTML or JSON with a document model such as granite-docling
    Document(Box<Document>),
    /// Answer requests over HTTP, with the APIs of OpenAI and Ollama
    #[cfg(feature = "server")]
    Serve(Serve),
    /// Preprocess conversations into model inputs, without loading weights
    Process(Process),
    /// Estimate tiles, tokens and memory of conversations, without loading weights
    Estimate(Estimate),
    /// Run one forward pass and save the logits and intermediate outputs
    Forward(Forward),
    /// Benchmark all stages of a model and the peak rates of this machine; the table goes to stdout
    Bench(Bench),
    /// List the available devices
    Devices,
    /// Write a checkpoint with random weights, for tests and benchmarks when no real checkpoint is available
    Random(Random),
    #[cfg(feature = "flex")]
    /// Write a checkpoint with 8-bit or 4-bit weights, or GGUF files for llama.cpp
    Quantize(Quantize),
    /// Train a checkpoint, or LoRA adapters for it, on conversations; the folder of the last checkpoint goes to stdout
    #[cfg(feature = "train")]
    Train(Train),
    /// Compute the loss of a checkpoint on conversations
    #[cfg(feature = "train")]
    Eval(Eval),
}

/// Arguments of `smolvlm describe`.
#[derive(Debug, Args)]
pub struct Describe {
    /// Images and videos, detected by content, in the order of the prompt: files, folders of frames, URLs, or - for
    /// stdin
    #[arg(required = true, value_name = "MEDIA")]
    pub media: Vec<OsString>,
    /// Question [default: the checkpoint's default_prompts, else "Can you describe this image?", or "... video?" if the
    /// first input is a video]
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Treat every file as a video, regardless of its content
    #[arg(long)]
    pub as_video: bool,
    /// Show the model's input images first, if stderr is a terminal
    #[arg(long)]
    pub show: bool,
    #[command(flatten)]
    pub sampling: Sampling,
    #[command(flatten)]
    pub model: Model,
}

/// Arguments of `smolvlm chat`.
#[derive(Debug, Args)]
pub struct Chat {
    /// System prompt
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// JSON file with the conversation so far, such as one written by /save
    #[arg(long, value_name = "FILE")]
    pub conversation: Option<PathBuf>,
    /// Print timings to stderr after each answer; always on in a terminal
    #[arg(long)]
    pub timings: bool,
    #[command(flatten)]
    pub sampling: Sampling,
    #[command(flatten)]
    pub model: Model,
}

/// The input file of commands that stream conversations.
#[derive(Debug, Args)]
pub struct ConversationStream {
    /// JSON file with one conversation (a list of messages), a list of conversations of any length, or one conversation
    /// per line (JSONL), each a list of messages or an object with "messages"; - reads stdin
    #[arg(long, value_name = "FILE")]
    pub conversation: PathBuf,
}

/// The input file of commands that read all conversations at once.
#[derive(Debug, Args)]
pub struct Conversations {
    /// JSON file with one conversation (a list of messages) or a list of conversations; - reads stdin
    #[arg(long, value_name = "FILE")]
    pub conversation: PathBuf,
}

/// Arguments of `smolvlm generate`.
#[derive(Debug, Args)]
pub struct Generate {
    #[command(flatten)]
    pub input: ConversationStream,
    /// One JSON object per answer and line: conversation (its index in the file, from 0), text, token_ids,
    /// prompt_tokens, cached_tokens, finish_reason, timings; with beams also score, with --logprobs also logprobs
    #[arg(long)]
    pub json: bool,
    /// Number of conversations per batch
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch_size: u16,
    #[command(flatten)]
    pub sampling: Sampling,
    #[command(flatten)]
    pub model: Model,
}

/// Arguments of `smolvlm process`.
#[derive(Debug, Args)]
pub struct Process {
    #[command(flatten)]
    pub input: Conversations,
    /// Safetensors file to write: input_ids, attention_mask, pixel_values, pixel_attention_mask. Its metadata has the
    /// prompt of row R as prompt.R and, as JSON, the frames of the row's video N as video.R.N
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    pub model: Model,
}

/// Arguments of `smolvlm estimate`.
#[derive(Debug, Args)]
pub struct Estimate {
    #[command(flatten)]
    pub input: Conversations,
    /// Maximum answer length to account for, in tokens
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub max_new_tokens: usize,
    /// One JSON object per conversation and line
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: Model,
}

/// Arguments of `smolvlm forward`.
#[derive(Debug, Args)]
pub struct Forward {
    #[command(flatten)]
    pub input: Conversations,
    /// Safetensors file to write: logits, image_features, and the outputs selected by --stages
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Logits of all positions instead of the last one only
    #[arg(long)]
    pub all_logits: bool,
    /// Include the outputs of all vision and text layers
    #[arg(long)]
    pub stages: bool,
    #[command(flatten)]
    pub model: Model,
}

/// Arguments of `smolvlm bench`.
#[derive(Debug, Args)]
#[command(after_help = BENCH)]
pub struct Bench {
    /// Number of measured runs per stage [default: 5, with --quick 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub runs: Option<u16>,
    /// Skip slow measurements: more than 4 tiles, prompts of more than 94 tokens
    #[arg(long)]
    pub quick: bool,
    /// One JSON object: stages in seconds or tokens/s, their share of the peak, peak_rates, peak_mib (Linux only); null
    /// if skipped
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: Model,
}

/// Explanation of the measurements of `smolvlm bench`.
const BENCH: &str = "\
Times and rates are medians after one warm-up run, except for loading, which is measured once; downloads are excluded. \
Vision is seconds per tile, including the connector. Decoding is the total tokens per second of all rows, each with a \
context of 200 tokens. 64 tiles and 64 rows are measured on GPUs only. The question is about an image of 1024x768 \
pixels, with an answer of 64 tokens; peak memory covers loading and this answer.

Shares are relative to the peak rates of this machine, measured in the same run: vision and prefill to its arithmetic \
throughput in the model's format, decoding to reading the text model's weights at memory bandwidth, the answer to the \
sum of both.";

/// Arguments of `smolvlm random`.
#[derive(Debug, Args)]
pub struct Random {
    /// Size: 256m, 500m, 2.2b or tiny
    #[arg(long)]
    pub preset: Preset,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Number format of the file: f32, bf16 or f16
    #[arg(long, default_value = "bf16")]
    pub dtype: Dtype,
    /// Random seed of the weights
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Replace an existing checkpoint: deletes its files and keeps all others in the folder
    #[arg(long)]
    pub force: bool,
}

/// Files that `smolvlm quantize` writes.
#[cfg(feature = "flex")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum QuantizedFiles {
    /// A checkpoint folder.
    Safetensors,
    /// A text model and an mmproj file.
    Gguf,
}

/// Arguments of `smolvlm quantize`.
#[cfg(feature = "flex")]
#[derive(Debug, Args)]
pub struct Quantize {
    /// Checkpoint folder, GGUF file of the text model, demo, or owner/name or owner/name@revision on the Hugging Face
    /// Hub
    #[arg(long, value_name = "DIR|FILE|HUB_ID", required_unless_present = "random")]
    pub model: Option<String>,
    /// GGUF file of vision encoder and connector, for a text model in GGUF
    #[arg(long, value_name = "FILE", conflicts_with = "random")]
    pub mmproj: Option<PathBuf>,
    /// Random weights of this size instead of a checkpoint: 256m, 500m, 2.2b or tiny
    #[arg(long, value_name = "PRESET", conflicts_with = "model")]
    pub random: Option<Preset>,
    /// LoRA adapter to merge first, optionally with a weight as DIR=WEIGHT; repeatable
    #[arg(long, value_name = "DIR[=WEIGHT]")]
    pub adapter: Vec<smolvlm::Adapter>,
    /// Files to write: a checkpoint folder, or GGUF files for llama.cpp
    #[arg(long, default_value = "safetensors")]
    pub format: QuantizedFiles,
    /// q8: 8-bit weights; q4: 4-bit weights in the text model, 8-bit elsewhere. In GGUF, the type of the text model:
    /// q8_0, q4_0, q4_1, bf16, f16 or f32
    #[arg(long)]
    pub dtype: String,
    /// In GGUF, the type of vision encoder and connector: f16, bf16, q8_0 or f32
    #[arg(long, value_name = "DTYPE", default_value = "f16")]
    pub mmproj_dtype: String,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Replace an existing checkpoint: deletes its files and keeps all others in the folder
    #[arg(long)]
    pub force: bool,
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn argument_definitions_are_valid() {
        Cli::command().debug_assert();
    }
}
