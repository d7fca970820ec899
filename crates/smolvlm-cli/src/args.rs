//! The command line's words.

use clap::{Args, Parser, Subcommand};
use smolvlm::{Device, Dtype, Preset};
use std::path::PathBuf;

/// The checkpoint used when none is named: the smallest one that was released.
const DEFAULT_MODEL: &str = "HuggingFaceTB/SmolVLM2-256M-Video-Instruct";

/// Ask SmolVLM vision-language models about images.
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
    /// Say what is in one or more images; the answer streams to stdout, timings go to stderr
    Describe(Describe),
    /// Continue conversations given as JSON
    Generate(Generate),
    /// Turn conversations into model inputs, without loading any weights
    Process(Process),
    /// Run the model once over conversations and keep its logits and inner stages
    Forward(Forward),
    /// Write a checkpoint with random weights: for tests and timings where no real one can be had
    Random(Random),
}

/// Which checkpoint, and how it is run.
#[derive(Debug, Args)]
pub struct Model {
    /// Checkpoint folder, or owner/name or owner/name@revision on the Hugging Face hub
    #[arg(long, value_name = "DIR|HUB_ID", default_value = DEFAULT_MODEL)]
    pub model: String,
    /// Random weights of this size instead of a checkpoint: 256m, 500m, 2.2b or tiny
    #[arg(long, value_name = "PRESET", conflicts_with = "model")]
    pub random: Option<Preset>,
    /// Where to run: auto, flex or cpu
    #[arg(long, default_value = "auto")]
    pub device: Device,
    /// Number format: auto, f32, bf16 or f16
    #[arg(long, default_value = "auto")]
    pub dtype: Dtype,
    /// Threads to use [default: one per core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// One tile per image: much faster, but small print is lost
    #[arg(long)]
    pub no_image_splitting: bool,
}

/// `smolvlm describe`.
#[derive(Debug, Args)]
pub struct Describe {
    /// Image files
    #[arg(required = true, value_name = "MEDIA")]
    pub media: Vec<String>,
    /// What to ask
    #[arg(long, default_value = "Can you describe this image?")]
    pub prompt: String,
    /// Longest answer, in tokens
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub max_new_tokens: usize,
    #[command(flatten)]
    pub model: Model,
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
    pub input: Conversations,
    /// Longest answer, in tokens [default: the checkpoint's generation_config.json, else 256]
    #[arg(long, value_name = "N")]
    pub max_new_tokens: Option<usize>,
    /// One JSON object per conversation and line: text, token_ids, prompt_tokens, finish_reason, timings
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub model: Model,
}

/// `smolvlm process`.
#[derive(Debug, Args)]
pub struct Process {
    #[command(flatten)]
    pub input: Conversations,
    /// Safetensors file to write: input_ids, attention_mask, pixel_values, pixel_attention_mask
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
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
    /// Replace the checkpoint that is there
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
