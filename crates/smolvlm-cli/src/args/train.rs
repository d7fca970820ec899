//! Words of `smolvlm train` and `smolvlm eval`.

use clap::Args;
use smolvlm::Adapter;
use smolvlm_train::{LoraConfig, Policy, TrainConfig};
use std::path::PathBuf;

/// `smolvlm train`.
#[derive(Debug, Args)]
pub struct Train {
    /// Checkpoint folder, demo, or owner/name or owner/name@revision on the Hugging Face hub
    #[arg(long, value_name = "DIR|HUB_ID")]
    pub model: String,
    /// Start from fresh weights instead of the checkpoint's: its folder needs config.json and the tokenizer's files only
    #[arg(long)]
    pub from_nothing: bool,
    /// LoRA adapter to merge into the checkpoint's weights before training, with a weight other than 1 as DIR=WEIGHT; may be
    /// given several times
    #[arg(long, value_name = "DIR[=WEIGHT]", conflicts_with = "from_nothing")]
    pub adapter: Vec<Adapter>,
    /// Conversations, one JSON list of messages a line (or an object with "messages"); paths in it start at its folder
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Conversations of the same kind to evaluate on
    #[arg(long, value_name = "FILE")]
    pub eval: Option<PathBuf>,
    /// Folder for checkpoints, metrics.jsonl and loss.svg; training goes on from the newest checkpoint in it
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Steps of the optimizer
    #[arg(long, default_value_t = TrainConfig::default().steps)]
    pub steps: u64,
    /// Samples a step
    #[arg(long, default_value_t = TrainConfig::default().batch_size)]
    pub batch_size: usize,
    /// Most samples that a thread holds at a time: fewer take less memory
    #[arg(long, default_value_t = TrainConfig::default().micro_batch)]
    pub micro_batch: usize,
    /// Largest learning rate
    #[arg(long, default_value_t = TrainConfig::default().learning_rate)]
    pub learning_rate: f64,
    /// Steps over which the learning rate rises
    #[arg(long, default_value_t = TrainConfig::default().warmup)]
    pub warmup: u64,
    /// Weight decay of matrices
    #[arg(long, default_value_t = TrainConfig::default().weight_decay)]
    pub weight_decay: f64,
    /// Seed of the order of samples and of fresh weights
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Parameters that keep their values, by name in the checkpoint; * stands for anything. May be given several times
    #[arg(long, value_name = "PATTERN")]
    pub freeze: Vec<String>,
    /// Steps between checkpoints
    #[arg(long, default_value_t = TrainConfig::default().save_every)]
    pub save_every: u64,
    /// Steps between evaluations
    #[arg(long, default_value_t = TrainConfig::default().eval_every)]
    pub eval_every: u64,
    /// Learn LoRA adapters instead of the weights
    #[arg(long)]
    pub lora: bool,
    /// Width of an adapter
    #[arg(long, default_value_t = LoraConfig::default().rank, requires = "lora")]
    pub lora_rank: usize,
    /// Adapters are multiplied with this, divided by their width
    #[arg(long, default_value_t = LoraConfig::default().alpha, requires = "lora")]
    pub lora_alpha: f64,
    /// Layers that get adapters: the last part of a name, or a pattern. May be given several times [default:
    /// model.text_model.*]
    #[arg(long, value_name = "NAME", requires = "lora")]
    pub lora_target: Vec<String>,
    #[command(flatten)]
    pub common: Common,
}

/// `smolvlm eval`.
#[derive(Debug, Args)]
pub struct Eval {
    /// Checkpoint folder, or owner/name or owner/name@revision on the Hugging Face hub
    #[arg(long, value_name = "DIR|HUB_ID")]
    pub model: String,
    /// LoRA adapter of that model: a folder that training, or PEFT, wrote, with a weight other than 1 as DIR=WEIGHT; may be
    /// given several times
    #[arg(long, alias = "adapters", value_name = "DIR[=WEIGHT]")]
    pub adapter: Vec<Adapter>,
    /// Conversations, as for training
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    #[command(flatten)]
    pub common: Common,
}

/// What training and evaluation share.
#[derive(Debug, Args)]
pub struct Common {
    /// Threads to use [default: one per core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Most samples of an evaluation
    #[arg(long, default_value_t = TrainConfig::default().eval_samples)]
    pub eval_samples: u64,
    /// Most tokens of a sample [default: the model's context]
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<usize>,
    /// Leave out samples that cannot be used, and steps whose loss is not finite, instead of stopping
    #[arg(long)]
    pub skip_bad: bool,
}

impl Common {
    /// The settings that these words are for.
    pub fn config(&self) -> TrainConfig {
        let policy = if self.skip_bad { Policy::Skip } else { Policy::Stop };
        TrainConfig {
            workers: self.threads.map_or(0, usize::from),
            eval_samples: self.eval_samples,
            max_tokens: self.max_tokens,
            bad_samples: policy,
            bad_steps: policy,
            ..TrainConfig::default()
        }
    }
}

impl Train {
    /// The settings of the trainer.
    pub fn config(&self) -> TrainConfig {
        TrainConfig {
            steps: self.steps,
            batch_size: self.batch_size,
            micro_batch: self.micro_batch,
            learning_rate: self.learning_rate,
            warmup: self.warmup,
            weight_decay: self.weight_decay,
            seed: self.seed,
            freeze: self.freeze.clone(),
            save_every: self.save_every,
            eval_every: self.eval_every,
            base_model: self.base_model(),
            output: Some(self.out.clone()),
            ..self.common.config()
        }
    }

    /// The model that adapters are for, as their folder names it: a folder by its whole path. None if adapters were merged
    /// into it first.
    fn base_model(&self) -> Option<String> {
        let folder = std::path::absolute(&self.model).ok().filter(|folder| folder.is_dir());
        let name = folder.map_or_else(|| self.model.clone(), |folder| folder.to_string_lossy().into_owned());
        self.adapter.is_empty().then_some(name)
    }

    /// Size and place of the adapters, if there are to be any.
    pub fn lora(&self) -> Option<LoraConfig> {
        let default = LoraConfig::default();
        let targets = if self.lora_target.is_empty() { default.targets } else { self.lora_target.clone() };
        self.lora.then_some(LoraConfig { rank: self.lora_rank, alpha: self.lora_alpha, targets })
    }
}
