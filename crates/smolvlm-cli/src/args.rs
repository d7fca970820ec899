//! The command line's words.

mod model;
mod sampling;
#[cfg(feature = "train")]
mod train;

pub use model::Model;
pub use sampling::Sampling;
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
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what is in images and videos; the answer streams to stdout, timings go to stderr
    Describe(Describe),
    /// Talk with the model, turn by turn; answers go to stdout. /help lists what else can be typed. Lines of a pipe that
    /// fail are exit code 1
    Chat(Chat),
    /// Answer conversations given as JSON, batch by batch. One that has no answer is a line on stderr and exit code 1
    Generate(Generate),
    /// Turn conversations into model inputs, without loading any weights
    Process(Process),
    /// Count tiles, tokens and memory of conversations, without loading any weights
    Estimate(Estimate),
    /// Run the model once over conversations and keep its logits and inner stages
    Forward(Forward),
    /// Time every stage of a model, and what this machine can do at most; the table goes to stdout
    Bench(Bench),
    /// List the devices that this build can use on this machine
    Devices,
    /// Write a checkpoint with random weights: for tests and timings where no real one can be had
    Random(Random),
    #[cfg(feature = "flex")]
    /// Write a checkpoint with 8-bit or 4-bit weights, which takes less room and is loaded faster
    Quantize(Quantize),
    /// Train a checkpoint, or LoRA adapters for it, on conversations; the folder of the last checkpoint goes to stdout
    #[cfg(feature = "train")]
    Train(Train),
    /// The loss of a checkpoint on conversations
    #[cfg(feature = "train")]
    Eval(Eval),
}

/// `smolvlm describe`.
#[derive(Debug, Args)]
pub struct Describe {
    /// Images and videos, told apart by their content: files, folders of frames, URLs, or - for stdin, in the order in which
    /// the model sees them
    #[arg(required = true, value_name = "MEDIA")]
    pub media: Vec<OsString>,
    /// What to ask [default: the checkpoint's default_prompts, else "Can you describe this image?", or "... video?" if the
    /// first medium is one]
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Treat every file as a video, whatever it holds
    #[arg(long)]
    pub as_video: bool,
    /// Draw what the model sees first, if stderr is a terminal
    #[arg(long)]
    pub show: bool,
    #[command(flatten)]
    pub sampling: Sampling,
    #[command(flatten)]
    pub model: Model,
}

/// `smolvlm chat`.
#[derive(Debug, Args)]
pub struct Chat {
    /// What the model is told first
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// JSON file with what has been said already, such as one that /save has written
    #[arg(long, value_name = "FILE")]
    pub conversation: Option<PathBuf>,
    /// Timings on stderr after each answer, as on a terminal
    #[arg(long)]
    pub timings: bool,
    #[command(flatten)]
    pub sampling: Sampling,
    #[command(flatten)]
    pub model: Model,
}

/// Conversations of `smolvlm generate`.
#[derive(Debug, Args)]
pub struct ConversationStream {
    /// JSON file with one conversation (a list of messages), a list of conversations of any length, or one conversation a
    /// line (JSONL), each a list of messages or an object with "messages"; - reads stdin
    #[arg(long, value_name = "FILE")]
    pub conversation: PathBuf,
}

/// Which conversations.
#[derive(Debug, Args)]
pub struct Conversations {
    /// JSON file with one conversation (a list of messages) or a list of conversations; - reads stdin
    #[arg(long, value_name = "FILE")]
    pub conversation: PathBuf,
}

/// `smolvlm generate`.
#[derive(Debug, Args)]
pub struct Generate {
    #[command(flatten)]
    pub input: ConversationStream,
    /// One JSON object per answer and line: conversation (its place in the file, from 0), text, token_ids, prompt_tokens,
    /// cached_tokens, finish_reason, timings; with beams also score, with --logprobs also logprobs
    #[arg(long)]
    pub json: bool,
    /// Conversations to answer at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch_size: u16,
    #[command(flatten)]
    pub sampling: Sampling,
    #[command(flatten)]
    pub model: Model,
}

/// `smolvlm process`.
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

/// `smolvlm estimate`.
#[derive(Debug, Args)]
pub struct Estimate {
    #[command(flatten)]
    pub input: Conversations,
    /// Longest answer to make room for, in tokens
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub max_new_tokens: usize,
    /// One JSON object per conversation and line
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: Model,
}

/// `smolvlm forward`.
#[derive(Debug, Args)]
pub struct Forward {
    #[command(flatten)]
    pub input: Conversations,
    /// Safetensors file to write: logits, image_features, and the stages asked for
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Logits of every position instead of the last one only
    #[arg(long)]
    pub all_logits: bool,
    /// Also the outputs of every vision and text layer
    #[arg(long)]
    pub stages: bool,
    #[command(flatten)]
    pub model: Model,
}

/// `smolvlm bench`.
#[derive(Debug, Args)]
#[command(after_help = BENCH)]
pub struct Bench {
    /// Runs of each stage that count [default: 5, with --quick 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub runs: Option<u16>,
    /// Leave out what takes long: more than 4 tiles at once, prompts of more than 94 tokens
    #[arg(long)]
    pub quick: bool,
    /// One JSON object: stages in seconds or tokens/s, their shares, ceilings, peak_mb (Linux alone); null where
    /// it was left out
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: Model,
}

/// What the figures of `smolvlm bench` are.
const BENCH: &str = "\
Figures are medians after one run that warms up, but loading is timed once; downloads do not count. Vision is seconds a \
tile, with the connector. Decoding is tokens a second of all rows together, each behind 200 tokens. 64 tiles and 64 rows are \
for GPUs alone. The question is about \
a picture of 1024x768 pixels and has an answer of 64 tokens; peak memory is that of loading and answering it.

Shares compare a stage with what this machine does at its best, measured in the same run: vision and prefill with its \
arithmetic in the model's format, decoding with reading the text model's weights from memory, the answer with both in turn.";

/// `smolvlm random`.
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
    /// The same seed gives the same weights
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Replace the checkpoint that is there: its files are deleted, any others in the folder stay
    #[arg(long)]
    pub force: bool,
}

/// `smolvlm quantize`.
#[cfg(feature = "flex")]
#[derive(Debug, Args)]
pub struct Quantize {
    /// Checkpoint folder, demo, or owner/name or owner/name@revision on the Hugging Face hub
    #[arg(long, value_name = "DIR|HUB_ID", required_unless_present = "random")]
    pub model: Option<String>,
    /// Random weights of this size instead of a checkpoint: 256m, 500m, 2.2b or tiny
    #[arg(long, value_name = "PRESET", conflicts_with = "model")]
    pub random: Option<Preset>,
    /// LoRA adapter to merge first, with a weight other than 1 as DIR=WEIGHT; may be given several times
    #[arg(long, value_name = "DIR[=WEIGHT]")]
    pub adapter: Vec<smolvlm::Adapter>,
    /// q8: 8-bit weights; q4: 4-bit weights in the text model, 8-bit ones in the rest
    #[arg(long)]
    pub dtype: Dtype,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Replace the checkpoint that is there: its files are deleted, any others in the folder stay
    #[arg(long)]
    pub force: bool,
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn the_words_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }
}
