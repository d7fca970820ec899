//! Structured values of generation parameters.

use serde::{Deserialize, Serialize};

/// Stopping criterion of beam search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EarlyStopping {
    /// `true`: as soon as there are as many finished sequences as beams.
    WhenFinished,
    /// `false`: when a better sequence is unlikely.
    WhenUnlikely,
    /// `"never"`: when a better sequence is impossible.
    WhenImpossible,
}

/// Kind of the key-value cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheImplementation {
    /// Grows with the sequence.
    Dynamic,
    /// Allocated once.
    Static,
    /// Grows, in host memory.
    Offloaded,
    /// Allocated once, in host memory.
    OffloadedStatic,
    /// Grows, quantized.
    Quantized,
}

/// A bias on the logit of the last token of a sequence, applied if the tokens before it were just generated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SequenceBias {
    /// The token sequence, never empty.
    pub tokens: Vec<u32>,
    /// The bias.
    pub bias: f64,
}

/// Increase of the end token's logit by `|logit| * (factor^(generated - start) - 1)` after `start` generated tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ExponentialDecay {
    /// Number of generated tokens before the increase starts.
    pub start: usize,
    /// Base of the exponential.
    pub factor: f64,
}

/// A watermark: generated tokens favor a pseudorandom part of the vocabulary (arXiv:2306.04634).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watermarking {
    /// Fraction of the vocabulary that is favored (green list).
    pub greenlist_ratio: f64,
    /// Bias on the logits of favored tokens.
    pub bias: f64,
    /// Key of the hash.
    pub hashing_key: u64,
    /// Whether the green list depends on the candidate token (`"selfhash"`) or on the tokens before it (`"lefthash"`).
    pub self_hash: bool,
    /// Number of tokens covered by the hash.
    pub context_width: usize,
}

impl Default for Watermarking {
    fn default() -> Self {
        Watermarking { greenlist_ratio: 0.25, bias: 2.0, hashing_key: 15_485_863, self_hash: false, context_width: 1 }
    }
}
