//! Values of generation parameters that are more than a number.

/// When a beam search ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EarlyStopping {
    /// `true`: as soon as there are as many finished texts as beams.
    WhenFinished,
    /// `false`: when a better text is unlikely.
    WhenUnlikely,
    /// `"never"`: when a better text is impossible.
    WhenImpossible,
}

/// How keys and values are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CacheImplementation {
    /// Grows with the text.
    Dynamic,
    /// Allocated once.
    Static,
    /// Grows, in host memory.
    Offloaded,
    /// Allocated once, in host memory.
    OffloadedStatic,
    /// Grows, in few bits.
    Quantized,
}

/// An addition to the logit of the last token of a run, when the text ends with the tokens before it.
#[derive(Debug, Clone, PartialEq)]
pub struct SequenceBias {
    /// The run of tokens, never empty.
    pub tokens: Vec<u32>,
    /// What is added.
    pub bias: f64,
}

/// Growth of the end token's logit: by `|logit| * (factor^(generated - start) - 1)` after `start` generated tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExponentialDecay {
    /// Generated tokens before the growth begins.
    pub start: usize,
    /// Base of the growth.
    pub factor: f64,
}

/// A watermark: generated tokens favor a pseudo-random part of the vocabulary (arXiv:2306.04634).
#[derive(Debug, Clone, PartialEq)]
pub struct Watermarking {
    /// Fraction of the vocabulary that is favored.
    pub greenlist_ratio: f64,
    /// What is added to the logits of favored tokens.
    pub bias: f64,
    /// Key of the hash.
    pub hashing_key: u64,
    /// Whether the favored part depends on the candidate token (`"selfhash"`) or on those before it (`"lefthash"`).
    pub self_hash: bool,
    /// Number of tokens that the hash covers.
    pub context_width: usize,
}

impl Default for Watermarking {
    fn default() -> Self {
        Watermarking { greenlist_ratio: 0.25, bias: 2.0, hashing_key: 15_485_863, self_hash: false, context_width: 1 }
    }
}
