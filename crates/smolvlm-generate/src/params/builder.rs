//! Builder methods of the generation parameters.

use super::SamplingParams;
use crate::{Constraint, LoopGuard};
use smolvlm_config::{EarlyStopping, ExponentialDecay, SequenceBias};
use std::time::Duration;

/// Defines one setter per field: `plain` fields take a value of their type, `optional` ones the content of `Some`,
/// `lists` the items.
macro_rules! setters {
    (@one $field:ident, $argument:ident: $type:ty, $value:expr) => {
        #[doc = concat!("Sets [`", stringify!($field), "`](#structfield.", stringify!($field), ").")]
        #[must_use]
        pub fn $field(mut self, $argument: $type) -> Self {
            self.$field = $value;
            self
        }
    };
    (
        plain { $($plain:ident: $plain_type:ty,)* }
        optional { $($optional:ident: $optional_type:ty,)* }
        lists { $($list:ident: $item:ty,)* }
        tokens { $($tokens:ident,)* }
    ) => {
        $(setters!(@one $plain, value: $plain_type, value);)*
        $(setters!(@one $optional, value: $optional_type, Some(value));)*
        $(setters!(@one $list, items: impl IntoIterator<Item = impl Into<$item>>,
            items.into_iter().map(Into::into).collect());)*
        // Token ids are not generic, so that literals need no type.
        $(setters!(@one $tokens, ids: impl IntoIterator<Item = u32>, ids.into_iter().collect());)*
    };
}

impl SamplingParams {
    /// Sets [`max_new_tokens`](#structfield.max_new_tokens) and unsets `max_length`, over which it takes precedence.
    #[must_use]
    pub fn max_new_tokens(mut self, count: usize) -> Self {
        self.max_new_tokens = count;
        self.max_length = None;
        self
    }

    setters! {
        plain {
            min_new_tokens: usize,
            min_length: usize,
            skip_special_tokens: bool,
            do_sample: bool,
            temperature: f32,
            top_k: usize,
            top_p: f32,
            typical_p: f32,
            epsilon_cutoff: f32,
            eta_cutoff: f32,
            repetition_penalty: f32,
            frequency_penalty: f32,
            presence_penalty: f32,
            no_repeat_ngram_size: usize,
            remove_invalid_values: bool,
            renormalize_logits: bool,
            num_beams: usize,
            length_penalty: f32,
            early_stopping: EarlyStopping,
            num_return_sequences: usize,
            prompt_lookup_num_tokens: usize,
        }
        optional {
            max_length: usize,
            seed: u64,
            min_p: f32,
            top_h: f32,
            forced_bos_token_id: u32,
            exponential_decay: ExponentialDecay,
            constraint: Constraint,
            max_time: Duration,
            logprobs: usize,
            loop_guard: LoopGuard,
            prefill_chunk: usize,
        }
        lists {
            stop_strings: String,
            bad_words_ids: Vec<u32>,
            sequence_bias: SequenceBias,
        }
        tokens {
            eos_token_ids,
            forced_eos_token_ids,
            suppress_tokens,
            begin_suppress_tokens,
        }
    }
}
