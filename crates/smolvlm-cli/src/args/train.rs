//! Arguments of `smolvlm train` and `smolvlm eval`.

use clap::Args;
use smolvlm::Adapter;
use smolvlm_train::{LoraConfig, Policy, TrainConfig};
use std::path::PathBuf;

/// Arguments of `smolvlm train`.
#[derive(Debug, Args)]
pub struct Train {
    /// Checkpoint folder, demo, or owner/name or owner/name@revision on the Hugging Face Hub
    #[arg(long, value_name = "DIR|HUB_ID")]
    pub model: String,
    /// Train from scratch: the folder only needs config.json and the tokenizer's files
    #[arg(long)]
    pub from_scratch: bool,
    /// LoRA adapter to merge into the checkpoint's weights before training, optionally with a weight as DIR=WEIGHT;
    /// repeatable
    #[arg(long, value_name = "DIR[=WEIGHT]", conflicts_with = "from_scratch")]
    pub adapter: Vec<Adapter>,
    /// JSONL file with one conversation per line: a list of messages or an object with "messages"; paths are relative
    /// to it
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Evaluation data in the same format
    #[arg(long, value_name = "FILE")]
    pub eval: Option<PathBuf>,
    /// Folder for checkpoints, metrics.jsonl and loss.svg; training resumes from the newest checkpoint in it
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Number of optimizer steps
    #[arg(long, default_value_t = TrainConfig::default().steps)]
    pub steps: u64,
    /// Samples per step
    #[arg(long, default_value_t = TrainConfig::default().batch_size)]
    pub batch_size: usize,
    /// Maximum number of samples per thread at a time: lower values save memory
    #[arg(long, default_value_t = TrainConfig::default().micro_batch)]
    pub micro_batch: usize,
    /// Peak learning rate
    #[arg(long, default_value_t = TrainConfig::default().learning_rate)]
    pub learning_rate: f64,
    /// Number of warm-up steps of the learning rate
    #[arg(long, default_value_t = TrainConfig::default().warmup)]
    pub warmup: u64,
    /// Weight decay of matrices
    #[arg(long, default_value_t = TrainConfig::default().weight_decay)]
    pub weight_decay: f64,
    /// Seed of the sample order and of weight initialization
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Parameters to freeze, by name in the checkpoint, with * as wildcard; repeatable
    #[arg(long, value_name = "PATTERN")]
    pub freeze: Vec<String>,
    /// Steps between checkpoints
    #[arg(long, default_value_t = TrainConfig::default().save_every)]
    pub save_every: u64,
    /// Steps between evaluations
    #[arg(long, default_value_t = TrainConfig::default().eval_every)]
    pub eval_every: u64,
    /// Train LoRA adapters instead of the weights
    #[arg(long)]
    pub lora: bool,
    /// Rank of the adapters
    #[arg(long, default_value_t = LoraConfig::default().rank, requires = "lora")]
    pub lora_rank: usize,
    /// LoRA alpha: adapters are scaled by alpha / rank
    #[arg(long, default_value_t = LoraConfig::default().alpha, requires = "lora")]
    pub lora_alpha: f64,
    /// Layers that get adapters: the last component of a name, or a pattern; repeatable [default: model.text_model.*]
    #[arg(long, value_name = "NAME", requires = "lora")]
    pub lora_target: Vec<String>,
    #[command(flatten)]
    pub common: Common,
}

/// Arguments of `smolvlm eval`.
#[derive(Debug, Args)]
pub struct Eval {
    /// Checkpoint folder, demo, or owner/name or owner/name@revision on the Hugging Face Hub
    #[arg(long, value_name = "DIR|HUB_ID")]
    pub model: String,
    /// LoRA adapter of that model: a folder written by training or PEFT, optionally with a weight as DIR=WEIGHT;
    /// repeatable
    #[arg(long, alias = "adapters", value_name = "DIR[=WEIGHT]")]
    pub adapter: Vec<Adapter>,
    /// Conversations in the format of training data
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    #[command(flatten)]
    pub common: Common,
}

/// Arguments shared by training and evaluation.
#[derive(Debug, Args)]
pub struct Common {
    /// Number of threads [default: one per core]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Maximum number of samples per evaluation
    #[arg(long, default_value_t = TrainConfig::default().eval_samples)]
    pub eval_samples: u64,
    /// Maximum number of tokens per sample [default: the model's context]
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<usize>,
    /// Skip unusable samples and steps with a non-finite loss instead of stopping
    #[arg(long)]
    pub skip_bad: bool,
}

impl Common {
    /// The trainer's configuration from these arguments.
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
    /// The trainer's configuration.
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

    /// The base model to record in the adapter's configuration; a folder as an absolute path. None if adapters were
    /// merged into it first.
    fn base_model(&self) -> Option<String> {
        let folder = std::path::absolute(&self.model).ok().filter(|folder| folder.is_dir());
        let name = folder.map_or_else(|| self.model.clone(), |folder| folder.to_string_lossy().into_owned());
        self.adapter.is_empty().then_some(name)
    }

    /// The configuration of the adapters, if `--lora` is given.
    pub fn lora(&self) -> Option<LoraConfig> {
        let default = LoraConfig::default();
        let targets = if self.lora_target.is_empty() { default.targets } else { self.lora_target.clone() };
        self.lora.then_some(LoraConfig { rank: self.lora_rank, alpha: self.lora_alpha, targets })
    }
}
