//! Admission of requests: checks that they fit into the model's context and the device's memory before any work.

use crate::estimate::{cache_bytes, weights};
use crate::{Device, DeviceInfo, Error, SmolVlm};
use smolvlm_config::ModelConfig;
use smolvlm_generate::SamplingParams;
use smolvlm_model::WeightFormat;

/// Number of copies of a sequence's logits that are alive at once: the model's, the sampler's, and the scores of a
/// beam.
const LOGIT_COPIES: u64 = 3;

/// Memory of `sequences` sequences of up to `tokens` tokens besides the weights, in bytes: KV cache and logits.
pub(crate) fn sequence_bytes(config: &ModelConfig, format: WeightFormat, sequences: usize, tokens: usize) -> u64 {
    let logits = (config.text.vocab_size as u64).saturating_mul(4 * LOGIT_COPIES);
    cache_bytes(config, format, tokens).saturating_add(logits).saturating_mul(sequences as u64)
}

/// Maximum number of tokens whose keys and values all requests together may hold: what fits half of the memory that is
/// free beside the weights, at most that of 64 full contexts, and at least one.
pub(crate) fn kv_tokens(config: &ModelConfig, format: WeightFormat, device: &DeviceInfo) -> usize {
    let context = config.text.max_position_embeddings;
    let free = match device.device.is_cpu() {
        // The weights are loaded.
        true => crate::device::free_main_memory(),
        // What was free before that.
        false => device.free.or(device.memory).map(|free| free.saturating_sub(weights(config, format))),
    };
    let per_token = cache_bytes(config, format, 1).max(1);
    let fits = free.map_or(u64::MAX, |free| free / 2 / per_token);
    usize::try_from(fits).unwrap_or(usize::MAX).clamp(context, context.saturating_mul(64))
}

impl SmolVlm {
    /// Rejects prompts of these numbers of tokens if one leaves no room for an answer, or if the sequences do not fit
    /// into memory.
    pub(crate) fn admit(&self, prompts: &[usize], params: &SamplingParams) -> Result<(), Error> {
        let context = self.loaded.config.text.max_position_embeddings;
        let (mut longest, mut new_tokens) = (0, 0);
        for (row, &prompt) in prompts.iter().enumerate() {
            if prompt >= context {
                return Err(Error::PromptTooLong { row, prompt, context });
            }
            longest = longest.max(prompt);
            new_tokens = new_tokens.max(params.limit(prompt).unwrap_or(1).min(context - prompt));
        }
        // An upper bound: shorter prompts need less.
        let tokens = longest.saturating_add(new_tokens);
        let texts = params.num_beams.max(params.num_return_sequences);
        let sequences = prompts.len().saturating_mul(texts);
        let needs = sequence_bytes(&self.loaded.config, self.format(), sequences, tokens);
        match self.free_memory() {
            Some(free) if needs > free => {
                Err(Error::TooManySequences { sequences, tokens, device: self.device().device, needs, free })
            }
            _ => Ok(()),
        }
    }

    /// The number of sequences of up to some tokens for which half of the device's memory suffices, at most `limit`.
    pub(crate) fn fitting_sequences(&self, tokens: usize, limit: usize) -> usize {
        let each = sequence_bytes(&self.loaded.config, self.format(), 1, tokens).max(1);
        let fits = self.free_memory().map_or(u64::MAX, |free| free / 2 / each);
        usize::try_from(fits).unwrap_or(usize::MAX).clamp(1, limit)
    }

    /// Device memory available to a request, in bytes. On CPUs, the free memory now. GPU backends keep freed memory in
    /// a pool for later requests, so there it is what was free before loading minus the weights.
    fn free_memory(&self) -> Option<u64> {
        let info = self.device();
        if info.device.is_cpu() {
            // The engine keeps memory that it has used once, and reserves it request by request.
            let engine = cache_bytes(&self.loaded.config, self.format(), self.loaded.kv_tokens);
            return crate::device::free_main_memory().map(|free| free.max(engine));
        }
        let before = info.free.or(info.memory)?;
        Some(before.saturating_sub(weights(&self.loaded.config, self.format())))
    }
}

/// The error if a sequence does not fit into a device's memory besides the weights.
pub(crate) fn refused(device: Device, memory: Option<u64>, [weights, needs]: [u64; 2], tokens: usize) -> Option<Error> {
    let free = memory?.saturating_sub(weights);
    (needs > free).then_some(Error::TooManySequences { sequences: 1, tokens, device, needs, free })
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use crate::{
        Conversation, Device, Dtype, Error, Estimator, Message, Options, RequestEstimate, SamplingParams, SmolVlm,
        Source, Truncation,
    };
    use smolvlm_config::Preset;

    fn options() -> Options {
        Options { device: Device::Flex, dtype: Dtype::F32, image_splitting: Some(false), ..Options::default() }
    }

    fn model(options: Options) -> SmolVlm {
        SmolVlm::load(Source::Random(Preset::Tiny), options).unwrap()
    }

    fn estimate(options: &Options, conversation: impl Into<Conversation>, new_tokens: usize) -> RequestEstimate {
        let estimator = Estimator::open(Source::Random(Preset::Tiny), options, &mut |_| {}).unwrap();
        estimator.estimate(&conversation.into(), new_tokens).unwrap()
    }

    /// A PNG with a valid header and no decodable data: decoding it would fail with another error.
    fn header_only() -> Vec<u8> {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x20\0\0\0\x20\x08\x02\0\0\0".to_vec();
        png.extend(0xfc18_eda3_u32.to_be_bytes());
        png.extend(b"\0\0\0\x01IDAT\x78");
        png
    }

    fn pictures(count: usize) -> Message {
        (0..count).fold(Message::user(), |message, _| message.image(header_only())).text("What?")
    }

    #[test]
    fn sequences_that_exceed_memory_are_rejected_with_numbers() {
        let model = model(options());
        for sequences in [1 << 22, usize::MAX] {
            let beams = SamplingParams::greedy().max_new_tokens(1000).num_beams(sequences);
            let texts = SamplingParams::sampling().max_new_tokens(1000).num_return_sequences(sequences);
            for params in [beams, texts] {
                let error = model.batch(&[pictures(1).into()], params).unwrap_err();
                let Error::TooManySequences { sequences: found, tokens, needs, free, .. } = &error else {
                    panic!("{error}")
                };
                assert!(*found == sequences && *tokens > 1000 && needs > free);
                let message = error.to_string();
                assert!(message.contains("num_beams") && message.contains("max_new_tokens"), "{message}");
            }
        }
        let beams = SamplingParams::greedy().max_new_tokens(2).num_beams(3);
        assert!(model.batch(&[Message::user().text("a").into()], beams).is_ok());
    }

    #[test]
    fn long_prompts_are_rejected_before_pixels_are_decoded() {
        let long: Conversation = pictures(1500).into();
        let error = model(options()).chat(long.clone()).unwrap_err();
        let Error::PromptTooLong { row: 0, prompt, context: 8192 } = error else { panic!("{error}") };
        let estimate_of_long = estimate(&options(), long, 10);
        assert_eq!(estimate_of_long.prompt.prompt_tokens, prompt);
        assert!(
            estimate_of_long.refused.as_ref().is_some_and(|reason| reason.contains("8192")),
            "{estimate_of_long:?}"
        );
        assert_eq!(estimate(&options(), pictures(1), 10).refused, None);
    }

    #[test]
    fn truncation_does_not_decode_dropped_images() {
        let options = Options { truncation: Truncation::DropOldest, ..options() };
        let model = model(options.clone());
        let conversation =
            Conversation::from([pictures(1500), Message::assistant().text("a"), Message::user().text("b")]);
        let params = SamplingParams::greedy().max_new_tokens(2);
        let answer = model.generate(conversation.clone(), params).unwrap();
        assert!(answer.prompt_tokens < 100);
        assert_eq!(estimate(&options, conversation, 2).refused, None);
        assert!(estimate(&options, pictures(1500), 2).refused.is_some());
    }

    #[test]
    fn estimates_are_limited_by_the_context() {
        let estimate = |new_tokens| estimate(&options(), Message::user().text("a"), new_tokens);
        let prompt = estimate(0).prompt.prompt_tokens;
        assert_eq!(estimate(usize::MAX), estimate(8192 - prompt));
        assert_ne!(estimate(usize::MAX), estimate(8191 - prompt));
    }

    /// The estimated weights of a quantized folder match the file size approximately and the loaded model exactly.
    #[test]
    fn quantized_folders_are_estimated_at_their_own_size() {
        let folder = tempfile::tempdir().unwrap();
        for (dtype, expanded) in [(Dtype::Q8, Dtype::F32), (Dtype::Q4, Dtype::Bf16)] {
            let path = folder.path().join(dtype.to_string());
            crate::quantize(Source::Random(Preset::Tiny), &[], dtype, &path, &mut |_| {}).unwrap();
            let size = std::fs::metadata(path.join("model.safetensors")).unwrap().len();
            let weights = |dtype| {
                let options = Options { dtype, ..options() };
                let estimator = Estimator::open(Source::directory(&path), &options, &mut |_| {}).unwrap();
                estimator.estimate(&Message::user().text("a").into(), 10).unwrap().memory.weights
            };
            assert!(weights(Dtype::Auto).abs_diff(size) < size / 20, "{dtype}: {} of {size}", weights(Dtype::Auto));
            assert_eq!(weights(Dtype::Auto), weights(dtype));
            let loaded = SmolVlm::load(Source::directory(&path), Options { dtype: Dtype::Auto, ..options() }).unwrap();
            assert_eq!(weights(Dtype::Auto), crate::estimate::weights(loaded.config(), loaded.format()));
            let loaded = SmolVlm::load(Source::directory(&path), Options { dtype: expanded, ..options() }).unwrap();
            assert_eq!(weights(expanded), crate::estimate::weights(loaded.config(), loaded.format()));
            assert!(weights(expanded) > weights(Dtype::Auto));
        }
    }
}
