//! Validation of generation parameters.

use super::SamplingParams;
use crate::Error;

impl SamplingParams {
    /// Validates the parameters. Those used only for sampling are checked only if `do_sample` is set, so that greedy
    /// decoding with a temperature of 0 is accepted.
    ///
    /// # Errors
    ///
    /// [`Error::MaxNewTokens`] or [`Error::MaxLength`] for a length of 0, [`Error::Invalid`] for any other invalid
    /// value, [`Error::Unsupported`] for guidance, watermarks, and a constraint without the feature `constrain`.
    /// Whether a constraint itself is valid is known when it is compiled.
    pub fn validate(&self) -> Result<(), Error> {
        self.limit(0)?;
        self.validate_counts()?;
        self.validate_lists()?;
        self.validate_constraint()?;
        require("repetition_penalty", self.repetition_penalty, is_positive, "above 0")?;
        require("frequency_penalty", self.frequency_penalty, f32::is_finite, "finite")?;
        require("presence_penalty", self.presence_penalty, f32::is_finite, "finite")?;
        require("length_penalty", self.length_penalty, f32::is_finite, "finite")?;
        if let Some(decay) = &self.exponential_decay
            && !(decay.factor > 0.0 && decay.factor.is_finite())
        {
            let problem = format!("has the factor {}; it must be above 0", decay.factor);
            return Err(Error::invalid("exponential_decay_length_penalty", problem));
        }
        if self.guidance_scale != 1.0 {
            let problem = format!("is {}", self.guidance_scale);
            return Err(Error::Unsupported { parameter: "guidance_scale", problem });
        }
        if let Some(watermarking) = &self.watermarking {
            let problem = format!("asks for a watermark of bias {}", watermarking.bias);
            return Err(Error::Unsupported { parameter: "watermarking_config", problem });
        }
        if self.do_sample { self.validate_sampling() } else { Ok(()) }
    }

    fn validate_counts(&self) -> Result<(), Error> {
        for (parameter, count) in [
            ("num_beams", Some(self.num_beams)),
            ("num_return_sequences", Some(self.num_return_sequences)),
            ("prefill_chunk_size", self.prefill_chunk),
        ] {
            if count == Some(0) {
                return Err(Error::invalid(parameter, "is 0; it must be at least 1"));
            }
        }
        let (beams, texts) = (self.num_beams, self.num_return_sequences);
        if texts > 1 && beams == 1 && !self.do_sample {
            let problem =
                format!("is {texts}; greedy decoding gives 1 sequence per prompt; set do_sample or num_beams");
            return Err(Error::invalid("num_return_sequences", problem));
        }
        if beams > 1 && texts > beams {
            let problem = format!("is {texts}; {beams} beams give at most {beams} sequences per prompt");
            return Err(Error::invalid("num_return_sequences", problem));
        }
        if let Some(guard) = &self.loop_guard
            && (guard.max_period == 0 || guard.min_repeats < 2)
        {
            let problem = format!(
                "has max_period {} and min_repeats {}; they must be at least 1 and 2",
                guard.max_period, guard.min_repeats
            );
            return Err(Error::invalid("loop_guard", problem));
        }
        Ok(())
    }

    fn validate_lists(&self) -> Result<(), Error> {
        if let Some(index) = self.stop_strings.iter().position(String::is_empty) {
            return Err(Error::invalid("stop_strings", format!("contains an empty string at index {index}")));
        }
        if let Some(index) = self.bad_words_ids.iter().position(Vec::is_empty) {
            return Err(Error::invalid("bad_words_ids", format!("contains an empty token sequence at index {index}")));
        }
        for (index, bias) in self.sequence_bias.iter().enumerate() {
            if bias.tokens.is_empty() {
                return Err(Error::invalid(
                    "sequence_bias",
                    format!("contains an empty token sequence at index {index}"),
                ));
            }
            if bias.bias.is_nan() {
                return Err(Error::invalid("sequence_bias", format!("contains NaN at index {index}")));
            }
        }
        for (parameter, forced) in [
            ("forced_bos_token_id", self.forced_bos_token_id.as_slice()),
            ("forced_eos_token_id", &self.forced_eos_token_ids),
        ] {
            if !forced.is_empty() && forced.iter().all(|token| self.suppress_tokens.contains(token)) {
                let problem = format!("has only tokens that suppress_tokens suppresses: {forced:?}");
                return Err(Error::invalid(parameter, problem));
            }
        }
        Ok(())
    }

    fn validate_constraint(&self) -> Result<(), Error> {
        let parameter = "constraint";
        if self.constraint.is_none() {
            return Ok(());
        }
        if !cfg!(feature = "constrain") {
            let problem = "needs the feature `constrain` of the build".to_owned();
            return Err(Error::Unsupported { parameter, problem });
        }
        if self.num_beams > 1 {
            return Err(Error::invalid(parameter, format!("excludes beam search; num_beams is {}", self.num_beams)));
        }
        if self.forced_bos_token_id.is_some() || !self.forced_eos_token_ids.is_empty() {
            return Err(Error::invalid(parameter, "excludes forced_bos_token_id and forced_eos_token_id"));
        }
        Ok(())
    }

    fn validate_sampling(&self) -> Result<(), Error> {
        let fraction = |value: f32| (0.0..=1.0).contains(&value);
        let part = |value: f32| value > 0.0 && value <= 1.0;
        require("temperature", self.temperature, is_positive, "above 0; for greedy decoding, set do_sample to false")?;
        require("top_p", self.top_p, fraction, "from 0 to 1")?;
        require("typical_p", self.typical_p, part, "above 0 and at most 1")?;
        require("epsilon_cutoff", self.epsilon_cutoff, fraction, "from 0 to 1")?;
        require("eta_cutoff", self.eta_cutoff, fraction, "from 0 to 1")?;
        self.min_p.map_or(Ok(()), |min_p| require("min_p", min_p, fraction, "from 0 to 1"))?;
        self.top_h.map_or(Ok(()), |top_h| require("top_h", top_h, part, "above 0 and at most 1"))
    }
}

fn is_positive(value: f32) -> bool {
    value > 0.0 && value.is_finite()
}

fn require(parameter: &'static str, value: f32, holds: impl Fn(f32) -> bool, allowed: &str) -> Result<(), Error> {
    if holds(value) { Ok(()) } else { Err(Error::invalid(parameter, format!("is {value}; it must be {allowed}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Constraint, LoopGuard};
    use smolvlm_config::{ExponentialDecay, SequenceBias, Watermarking};

    fn greedy() -> SamplingParams {
        SamplingParams::greedy()
    }

    fn sampling() -> SamplingParams {
        SamplingParams::sampling()
    }

    #[test]
    fn zero_lengths_are_errors() {
        let error = greedy().max_new_tokens(0).validate().unwrap_err();
        assert_eq!(error.to_string(), "max_new_tokens is 0; it must be at least 1");
        assert_eq!(greedy().max_length(0).validate(), Err(Error::MaxLength { prompt_len: 0, max_length: 0 }));
        assert_eq!(greedy().max_new_tokens(1).validate(), Ok(()));
        assert_eq!(greedy().max_length(1).validate(), Ok(()));
    }

    #[test]
    fn messages_contain_parameter_and_value() {
        let bias = |tokens: &[u32], bias| [SequenceBias { tokens: tokens.to_vec(), bias }];
        let guard = LoopGuard { max_period: 1, min_repeats: 1, min_tokens: 0 };
        let decay = |factor| ExponentialDecay { start: 0, factor };
        for (params, message) in [
            (greedy().num_beams(0), "num_beams is 0; "),
            (greedy().num_return_sequences(0), "num_return_sequences is 0; "),
            (greedy().num_return_sequences(3), "num_return_sequences is 3; greedy decoding gives 1 sequence"),
            (sampling().num_beams(2).num_return_sequences(3), "num_return_sequences is 3; 2 beams give at most 2"),
            (greedy().prefill_chunk(0), "prefill_chunk_size is 0; "),
            (greedy().loop_guard(guard), "loop_guard has max_period 1 and min_repeats 1; "),
            (greedy().stop_strings(["a", ""]), "stop_strings contains an empty string at index 1"),
            (greedy().bad_words_ids([vec![]]), "bad_words_ids contains an empty token sequence at index 0"),
            (greedy().sequence_bias(bias(&[], 1.0)), "sequence_bias contains an empty token sequence at index 0"),
            (greedy().sequence_bias(bias(&[1], f64::NAN)), "sequence_bias contains NaN at index 0"),
            (greedy().forced_bos_token_id(5).suppress_tokens([5]), "forced_bos_token_id has only tokens that"),
            (greedy().forced_eos_token_ids([5]).suppress_tokens([4, 5]), "forced_eos_token_id has only tokens that"),
            (greedy().repetition_penalty(0.0), "repetition_penalty is 0; it must be above 0"),
            (greedy().repetition_penalty(-1.5), "repetition_penalty is -1.5; "),
            (greedy().frequency_penalty(f32::NAN), "frequency_penalty is NaN; it must be finite"),
            (greedy().presence_penalty(f32::INFINITY), "presence_penalty is inf; it must be finite"),
            (greedy().length_penalty(f32::INFINITY), "length_penalty is inf; it must be finite"),
            (greedy().exponential_decay(decay(-2.0)), "exponential_decay_length_penalty has the factor -2; "),
            (sampling().temperature(0.0), "temperature is 0; it must be above 0"),
            (sampling().temperature(f32::NAN), "temperature is NaN; "),
            (sampling().top_p(1.5), "top_p is 1.5; it must be from 0 to 1"),
            (sampling().min_p(-0.1), "min_p is -0.1; "),
            (sampling().top_h(0.0), "top_h is 0; it must be above 0 and at most 1"),
            (sampling().typical_p(0.0), "typical_p is 0; "),
            (sampling().epsilon_cutoff(2.0), "epsilon_cutoff is 2; "),
            (sampling().eta_cutoff(-1.0), "eta_cutoff is -1; "),
        ] {
            let error = params.validate().unwrap_err();
            assert!(error.to_string().starts_with(message), "{error}");
        }
    }

    #[test]
    fn constraints_exclude_beams_and_forced_tokens() {
        let constrained = greedy().constraint(Constraint::json_object());
        if !cfg!(feature = "constrain") {
            assert!(matches!(constrained.validate(), Err(Error::Unsupported { parameter: "constraint", .. })));
            return;
        }
        assert_eq!(constrained.validate(), Ok(()));
        for params in [constrained.clone().num_beams(2), constrained.forced_eos_token_ids([1])] {
            assert!(matches!(params.validate(), Err(Error::Invalid { parameter: "constraint", .. })));
        }
    }

    #[test]
    fn unsupported_parameters_are_errors() {
        let mut params = greedy();
        params.guidance_scale = 1.5;
        assert_eq!(params.validate().unwrap_err().to_string(), "guidance_scale is 1.5, which is not supported");
        let mut params = greedy();
        params.watermarking = Some(Watermarking::default());
        assert!(matches!(params.validate(), Err(Error::Unsupported { parameter: "watermarking_config", .. })));
    }

    #[test]
    fn greedy_decoding_ignores_sampling_parameters() {
        let params = greedy().temperature(0.0).top_p(7.0).min_p(7.0).top_h(7.0).typical_p(7.0);
        assert_eq!(params.validate(), Ok(()));
    }

    #[test]
    fn range_bounds_are_valid() {
        assert_eq!(sampling().top_k(0).top_p(0.0).min_p(0.0).epsilon_cutoff(0.0).eta_cutoff(0.0).validate(), Ok(()));
        assert_eq!(sampling().top_p(1.0).min_p(1.0).top_h(1.0).typical_p(1.0).eta_cutoff(1.0).validate(), Ok(()));
        assert_eq!(sampling().num_return_sequences(9).validate(), Ok(()));
        assert_eq!(greedy().num_beams(3).num_return_sequences(3).validate(), Ok(()));
        assert_eq!(greedy().forced_eos_token_ids([4, 5]).suppress_tokens([5]).validate(), Ok(()));
        assert_eq!(greedy().loop_guard(LoopGuard::default()).validate(), Ok(()));
    }
}
