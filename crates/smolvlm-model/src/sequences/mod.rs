//! Sequences with a KV cache, which grow, fork and end independently of each other.

#[cfg(feature = "cubecl")]
mod gpu;
#[cfg(any(feature = "cubecl", feature = "flex"))]
mod page_tables;
#[cfg(any(feature = "cubecl", feature = "flex"))]
mod prefix;
mod split;
mod tensors;
mod token_key;

pub use token_key::TokenKey;

use crate::inputs::{check_features, check_ids};
use crate::{Error, KeepLogits, Network};
use burn::tensor::Tensor;
#[cfg(feature = "flex")]
pub(crate) use page_tables::PageTables;
use smolvlm_config::ModelConfig;
use smolvlm_kernels::{PAGE_TOKENS, TopTokens};
use tensors::TensorSequences;

/// A sequence in [`Sequences`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceId(pub(crate) u64);

/// New tokens of a sequence.
#[derive(Debug, Clone)]
pub struct StepInput<'a> {
    /// The sequence, which appears once per step.
    pub sequence: SequenceId,
    /// The tokens, at least one.
    pub tokens: &'a [u32],
    /// Features of the image tokens among them, `[image tokens, hidden]`. Without features, image tokens keep their own
    /// embedding, as in the reference when the model generates one.
    pub features: Option<Tensor<2>>,
    /// Tokens whose logits are computed.
    pub logits: KeepLogits,
    /// Whether the model generated the tokens. With quantized weights, their activations are more precise than those of
    /// a prompt, which costs nothing for a few tokens.
    pub generated: bool,
}

impl<'a> StepInput<'a> {
    /// Text tokens, of which the logits of the last are computed.
    pub fn text(sequence: SequenceId, tokens: &'a [u32]) -> Self {
        Self { sequence, tokens, features: None, logits: KeepLogits::Last, generated: false }
    }

    /// Tokens that the model generated, of which the logits of the last are computed.
    pub fn generated(sequence: SequenceId, tokens: &'a [u32]) -> Self {
        Self { generated: true, ..Self::text(sequence, tokens) }
    }

    /// Number of its tokens whose logits are computed.
    pub fn logit_rows(&self) -> usize {
        self.logits.count(self.tokens.len())
    }

    /// Checks ids and features.
    pub(crate) fn check(&self, config: &ModelConfig) -> Result<(), Error> {
        if self.tokens.is_empty() {
            return Err(Error::input("tokens", "a sequence in a step needs at least one token"));
        }
        check_ids(self.tokens, 0, config)?;
        check_features(self.tokens, self.features.as_ref(), config)
    }
}

/// The KV cache of any number of sequences. Steps run the new tokens of several sequences together; on packed weights
/// the results are those of each sequence alone.
#[derive(Debug)]
pub struct Sequences {
    kind: Kind,
    next: u64,
    max_kept: usize,
}

#[derive(Debug)]
enum Kind {
    #[cfg(feature = "flex")]
    Paged(Box<crate::packed::PagedSequences>),
    #[cfg(feature = "cubecl")]
    Gpu(Box<gpu::GpuSequences>),
    Tensors(Box<TensorSequences>),
}

impl Network {
    /// Storage for sequences of this network. On packed weights and GPUs all of them hold up to `max_tokens` tokens,
    /// each rounded up to a multiple of 32; memory is allocated as they grow.
    #[cfg_attr(
        not(any(feature = "cubecl", feature = "flex")),
        expect(unused_variables, reason = "tensors have no limit")
    )]
    pub fn new_sequences(&self, max_tokens: usize) -> Sequences {
        let kind = match self {
            #[cfg(feature = "flex")]
            Self::Packed(model) => Kind::Paged(Box::new(crate::packed::PagedSequences::new(model, max_tokens))),
            #[cfg(feature = "cubecl")]
            Self::Tensors(model) if let Some(decoder) = model.gpu_decoder() => {
                Kind::Gpu(Box::new(gpu::GpuSequences::new(decoder, max_tokens)))
            }
            Self::Tensors(_) => Kind::Tensors(Box::default()),
        };
        Sequences { kind, next: 0, max_kept: usize::MAX }
    }

    /// Runs new tokens of sequences through the text model. Returns the logits that the inputs request, in their order,
    /// `[positions, vocabulary]`.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfPages`], [`Error::UnknownSequence`], [`Error::TokenOutOfRange`], [`Error::ImageTokenMismatch`] and
    /// [`Error::Input`]; the sequences are unchanged then. [`Error::Device`] and [`Error::OutOfMemory`]; the sequences
    /// of the step cannot be continued then.
    pub fn step(&self, sequences: &mut Sequences, inputs: &[StepInput<'_>]) -> Result<Vec<f32>, Error> {
        match (self, &mut sequences.kind) {
            #[cfg(feature = "flex")]
            (Self::Packed(model), Kind::Paged(sequences)) => Ok(sequences.step(model, inputs)?.to_vec()),
            #[cfg(feature = "cubecl")]
            (Self::Tensors(model), Kind::Gpu(sequences)) => sequences.step(model, inputs),
            (Self::Tensors(model), Kind::Tensors(sequences)) => sequences.step(model, inputs),
            #[cfg(feature = "flex")]
            _ => Err(Error::UnknownSequence),
        }
    }

    /// Runs one more text token of each sequence and returns only the argmax of its logits with its value. On a GPU
    /// only these are read back. For equal logits, the backend decides. If all logits are NaN, the returned logit is
    /// NaN or negative infinity.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    pub fn step_argmax(
        &self,
        sequences: &mut Sequences,
        inputs: &[(SequenceId, u32)],
    ) -> Result<Vec<(u32, f32)>, Error> {
        match (self, &mut sequences.kind) {
            #[cfg(feature = "cubecl")]
            (Self::Tensors(model), Kind::Gpu(sequences)) => sequences.step_argmax(model, inputs),
            (Self::Tensors(model), Kind::Tensors(sequences)) => sequences.step_argmax(model, inputs),
            #[cfg(feature = "flex")]
            _ => {
                let steps: Vec<StepInput<'_>> =
                    inputs.iter().map(|(id, token)| StepInput::generated(*id, std::slice::from_ref(token))).collect();
                let logits = self.step(sequences, &steps)?;
                Ok(logits.chunks_exact(self.config().text.vocab_size).map(argmax).collect())
            }
        }
    }

    /// Runs one more text token of each sequence and returns at least the `count` most likely next tokens of each, up to
    /// [`max_top`](Sequences::max_top): those with at least the logit of the last of them. None where too many logits
    /// are equal, so that all must be read with [`last_logits`](Self::last_logits).
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step), and [`Error::UnknownSequence`] if no tokens can be selected from these sequences.
    #[cfg_attr(not(feature = "cubecl"), expect(unused_variables, reason = "only GPUs select tokens"))]
    pub fn step_top(
        &self,
        sequences: &mut Sequences,
        inputs: &[(SequenceId, u32)],
        count: usize,
    ) -> Result<Vec<Option<TopTokens>>, Error> {
        match (self, &mut sequences.kind) {
            #[cfg(feature = "cubecl")]
            (Self::Tensors(model), Kind::Gpu(sequences)) => sequences.step_top(model, inputs, count),
            _ => Err(Error::UnknownSequence),
        }
    }

    /// The logits of a row of the last [`step_top`](Self::step_top).
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSequence`] if there is no such row, and [`Error::Device`].
    #[cfg_attr(not(feature = "cubecl"), expect(unused_variables, reason = "only GPUs select tokens"))]
    pub fn last_logits(&self, sequences: &Sequences, row: usize) -> Result<Vec<f32>, Error> {
        match (self, &sequences.kind) {
            #[cfg(feature = "cubecl")]
            (Self::Tensors(model), Kind::Gpu(sequences)) => sequences.last_logits(model, row),
            _ => Err(Error::UnknownSequence),
        }
    }
}

/// The first largest logit and its token.
#[cfg(feature = "flex")]
fn argmax(logits: &[f32]) -> (u32, f32) {
    logits.iter().zip(0..).fold(
        (0, f32::NEG_INFINITY),
        |best, (&logit, token)| {
            if logit > best.1 { (token, logit) } else { best }
        },
    )
}

impl Sequences {
    /// Number of tokens of a page; memory is allocated for whole pages.
    pub const PAGE_TOKENS: usize = PAGE_TOKENS;

    /// Limits the tokens that are [kept](Self::keep) of removed sequences. Without a limit, only new sequences displace
    /// them.
    #[must_use]
    pub fn with_max_kept(self, max_kept: usize) -> Self {
        Self { max_kept, ..self }
    }

    /// Adds an empty sequence.
    pub fn add(&mut self) -> SequenceId {
        let id = self.next_id();
        match &mut self.kind {
            #[cfg(feature = "flex")]
            Kind::Paged(sequences) => sequences.add(id),
            #[cfg(feature = "cubecl")]
            Kind::Gpu(sequences) => sequences.add(id),
            Kind::Tensors(_) => {}
        }
        id
    }

    /// Adds a sequence with the tokens of another one. On packed weights and GPUs they share memory until they differ.
    pub fn fork(&mut self, source: SequenceId) -> SequenceId {
        let id = self.next_id();
        match &mut self.kind {
            #[cfg(feature = "flex")]
            Kind::Paged(sequences) => sequences.fork(source, id),
            #[cfg(feature = "cubecl")]
            Kind::Gpu(sequences) => sequences.fork(source, id),
            Kind::Tensors(sequences) => sequences.fork(source, id),
        }
        id
    }

    /// Adds a sequence that starts with tokens of an earlier one, if the memory still holds them: the longest prefix of
    /// these tokens that was [kept](Self::keep), without the last token. Returns it with the number of its tokens.
    pub fn resume(&mut self, keys: &[TokenKey]) -> (SequenceId, usize) {
        let id = self.next_id();
        let len = match &mut self.kind {
            #[cfg(feature = "flex")]
            Kind::Paged(sequences) => sequences.resume(id, keys),
            #[cfg(feature = "cubecl")]
            Kind::Gpu(sequences) => sequences.resume(id, keys),
            Kind::Tensors(sequences) => sequences.resume(id, keys),
        };
        (id, len)
    }

    /// Removes a sequence, but keeps its tokens for others to [resume](Self::resume) while there is memory. `keys` are
    /// those of its tokens.
    pub fn keep(&mut self, id: SequenceId, keys: &[TokenKey]) {
        match &mut self.kind {
            #[cfg(feature = "flex")]
            Kind::Paged(sequences) => sequences.keep(id, keys, self.max_kept),
            #[cfg(feature = "cubecl")]
            Kind::Gpu(sequences) => sequences.keep(id, keys, self.max_kept),
            Kind::Tensors(sequences) => sequences.keep(id, keys, self.max_kept),
        }
    }

    /// Number of tokens of a sequence.
    pub fn len(&self, id: SequenceId) -> usize {
        match &self.kind {
            #[cfg(feature = "flex")]
            Kind::Paged(sequences) => sequences.len(id),
            #[cfg(feature = "cubecl")]
            Kind::Gpu(sequences) => sequences.len(id),
            Kind::Tensors(sequences) => sequences.len(id),
        }
    }

    /// Whether a step with several tokens of a sequence gives the same logits as steps with one, so that drafted tokens
    /// can be verified: on packed weights.
    pub fn verifies_drafts(&self) -> bool {
        match &self.kind {
            #[cfg(feature = "flex")]
            Kind::Paged(_) => true,
            #[cfg(feature = "cubecl")]
            Kind::Gpu(_) => false,
            Kind::Tensors(_) => false,
        }
    }

    /// Number of most likely tokens that [`Network::step_top`] can select: on GPUs; 0 elsewhere, where all logits are in
    /// main memory.
    pub fn max_top(&self) -> usize {
        match &self.kind {
            #[cfg(feature = "cubecl")]
            Kind::Gpu(_) => smolvlm_kernels::gpu::MAX_TOP,
            _ => 0,
        }
    }

    /// Removes the last tokens of a sequence on packed weights, down to `len`.
    #[cfg_attr(not(feature = "flex"), expect(unused_variables, reason = "tensors have no drafts"))]
    pub fn truncate(&mut self, id: SequenceId, len: usize) {
        match &mut self.kind {
            #[cfg(feature = "flex")]
            Kind::Paged(sequences) => sequences.truncate(id, len),
            // Only drafted tokens are removed, of which there are none.
            #[cfg(feature = "cubecl")]
            Kind::Gpu(_) => {}
            Kind::Tensors(_) => {}
        }
    }

    /// Number of tokens of all sequences for which there can be memory, each rounded up to whole pages; on Burn tensors
    /// without pages, there is no limit but that of the device.
    pub fn max_tokens(&self) -> usize {
        match &self.kind {
            #[cfg(feature = "flex")]
            Kind::Paged(sequences) => sequences.max_tokens(),
            #[cfg(feature = "cubecl")]
            Kind::Gpu(sequences) => sequences.max_tokens(),
            Kind::Tensors(_) => usize::MAX,
        }
    }

    /// Number of pages of [`PAGE_TOKENS`](Self::PAGE_TOKENS) tokens in use, those that are kept included.
    pub fn pages(&self) -> usize {
        match &self.kind {
            #[cfg(feature = "flex")]
            Kind::Paged(sequences) => sequences.used_pages(),
            #[cfg(feature = "cubecl")]
            Kind::Gpu(sequences) => sequences.used_pages(),
            Kind::Tensors(sequences) => sequences.used_pages(),
        }
    }

    /// Removes a sequence and frees its memory.
    pub fn remove(&mut self, id: SequenceId) {
        match &mut self.kind {
            #[cfg(feature = "flex")]
            Kind::Paged(sequences) => sequences.remove(id),
            #[cfg(feature = "cubecl")]
            Kind::Gpu(sequences) => sequences.remove(id),
            Kind::Tensors(sequences) => sequences.remove(id),
        }
    }

    fn next_id(&mut self) -> SequenceId {
        self.next += 1;
        SequenceId(self.next)
    }
}
