//! Arguments of sampling and stopping.

use crate::args::constraint::ConstraintArgs;
use crate::failure::Failure;
use clap::Args;
use smolvlm::processor::Processor;
use smolvlm::{Error, LoopGuard, SamplingParams, SmolVlm};
use std::cell::LazyCell;
use std::collections::HashSet;
use std::time::Duration;

/// Arguments of sampling and stopping. Defaults are those of the checkpoint's generation_config.json; names and
/// meanings are those of transformers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Answer")]
pub struct Sampling {
    /// Maximum answer length, in tokens [default: the checkpoint's, else 256; of `document`: 8192]
    #[arg(long, value_name = "N")]
    pub max_new_tokens: Option<usize>,
    /// Minimum answer length, in tokens
    #[arg(long, value_name = "N")]
    pub min_new_tokens: Option<usize>,
    /// Sample tokens instead of greedy decoding. Implied by temperature, top-k, top-p, min-p, typical-p and seed,
    /// unless --greedy is given
    #[arg(long)]
    pub do_sample: bool,
    /// Greedy decoding, regardless of other options
    #[arg(long, conflicts_with = "do_sample")]
    pub greedy: bool,
    /// Sampling temperature: below 1 sharpens the distribution, above 1 flattens it; 0 is --greedy
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    pub temperature: Option<f32>,
    /// Sample from the N most likely tokens; 0 is all [default: the checkpoint's, else 50]
    #[arg(long, value_name = "N")]
    pub top_k: Option<usize>,
    /// Sample from the most likely tokens with this cumulative probability, 0 to 1
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub top_p: Option<f32>,
    /// Sample from tokens with at least this fraction of the highest probability, 0 to 1
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub min_p: Option<f32>,
    /// Sample from the most typical tokens with this cumulative probability, above 0 and up to 1
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub typical_p: Option<f32>,
    /// Random seed
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Repetition penalty: above 1 makes tokens that occurred before less likely
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub repetition_penalty: Option<f32>,
    /// Never repeat n-grams of this many tokens, including those of the prompt; 0 is off
    #[arg(long, value_name = "N")]
    pub no_repeat_ngram_size: Option<usize>,
    /// Stop when this text appears; it stays in the answer; repeatable
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// Never generate this exact spelling, with or without a leading space; repeatable
    #[arg(long, value_name = "TEXT")]
    pub bad_word: Vec<String>,
    /// What the answer must match.
    #[command(flatten)]
    pub constraint: ConstraintArgs,
    /// Log-probabilities of each token and of the N most likely ones, for `generate --json`
    #[arg(long, value_name = "N")]
    pub logprobs: Option<usize>,
    /// Number of beams; 1 is no beam search
    #[arg(long, value_name = "N")]
    pub num_beams: Option<usize>,
    /// Exponent of the length by which a beam's score is divided: above 0 favors long answers
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub length_penalty: Option<f32>,
    /// Answers per conversation; more than 1 needs sampling, or at least as many beams
    #[arg(long, value_name = "N")]
    pub num_return_sequences: Option<usize>,
    /// Stop after this time
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub max_time: Option<Duration>,
    /// Keep special tokens (end of text, image markers) in the answer
    #[arg(long)]
    pub keep_special_tokens: bool,
    /// Stop an answer in an endless repetition; on by default in `describe`, `chat` and `document`
    #[arg(long)]
    pub loop_guard: bool,
    /// Do not stop endless repetitions
    #[arg(long, conflicts_with = "loop_guard")]
    pub no_loop_guard: bool,
    /// Maximum number of prompt tokens per step, to save memory [default: 1024, fewer beside other requests]
    #[arg(long, value_name = "N")]
    pub prefill_chunk: Option<usize>,
    /// Maximum number of tokens per step that are looked up in earlier text and verified, which is faster where text
    /// repeats and never changes an answer; 0 for none [default: 15]
    #[arg(long, value_name = "N")]
    pub prompt_lookup: Option<usize>,
}

impl Sampling {
    /// The checkpoint's parameters, overridden by the arguments; stop texts and bad words are added to the
    /// checkpoint's. `guards_loops` is the default of the loop guard.
    pub fn params(&self, model: &SmolVlm, guards_loops: bool) -> Result<SamplingParams, Failure> {
        let mut params = model.sampling();
        if let Some(count) = self.max_new_tokens {
            params = params.max_new_tokens(count);
        }
        set(&mut params.min_new_tokens, self.min_new_tokens);
        set(&mut params.temperature, self.temperature.filter(|&temperature| temperature != 0.0));
        set(&mut params.top_k, self.top_k);
        set(&mut params.top_p, self.top_p);
        set(&mut params.typical_p, self.typical_p);
        set(&mut params.repetition_penalty, self.repetition_penalty);
        set(&mut params.no_repeat_ngram_size, self.no_repeat_ngram_size);
        set(&mut params.num_beams, self.num_beams);
        set(&mut params.length_penalty, self.length_penalty);
        set(&mut params.num_return_sequences, self.num_return_sequences);
        params.min_p = self.min_p.or(params.min_p);
        params.seed = self.seed.or(params.seed);
        params.logprobs = self.logprobs.or(params.logprobs);
        params.max_time = self.max_time.or(params.max_time);
        params.prefill_chunk = self.prefill_chunk.or(params.prefill_chunk);
        set(&mut params.prompt_lookup_num_tokens, self.prompt_lookup);
        params.do_sample = !self.is_greedy() && (params.do_sample || self.implies_sampling());
        params.skip_special_tokens &= !self.keep_special_tokens;
        params.stop_strings.extend_from_slice(&self.stop);
        // Only special tokens are tokens of a grammar.
        let special =
            LazyCell::new(|| -> HashSet<String> { model.processor().token_bytes().special().into_values().collect() });
        let constraint = self.constraint.constraint(|tag| special.contains(tag))?;
        params.constraint = constraint.or(params.constraint);
        params.bad_words_ids.extend(self.bad_words(model.processor())?);
        if self.loop_guard || (guards_loops && !self.no_loop_guard) {
            params.loop_guard = Some(LoopGuard::default());
        }
        params.validate().map_err(Error::from)?;
        Ok(params)
    }

    fn is_greedy(&self) -> bool {
        self.greedy || self.temperature == Some(0.0)
    }

    fn implies_sampling(&self) -> bool {
        let fractions = [self.temperature, self.top_p, self.min_p, self.typical_p];
        self.do_sample || self.top_k.is_some() || self.seed.is_some() || fractions.iter().any(Option::is_some)
    }

    /// The tokens of each bad word with and without a leading space, which the tokenizer encodes differently.
    fn bad_words(&self, processor: &Processor) -> Result<Vec<Vec<u32>>, Error> {
        let spellings = self.bad_word.iter().flat_map(|word| [word.clone(), format!(" {word}")]);
        let ids = |text: String| match processor.tokenizer().encode_fast(text, false) {
            Ok(encoding) => Ok(encoding.get_ids().to_vec()),
            Err(error) => Err(smolvlm::processor::Error::Tokenizer { message: error.to_string() }.into()),
        };
        spellings.map(ids).collect()
    }
}

fn set<T>(parameter: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *parameter = value;
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use crate::args::{Cli, Command};
    use clap::Parser;
    use smolvlm::{LoopGuard, Options, Preset, SamplingParams, SmolVlm, Source};

    fn params(model: &SmolVlm, flags: &[&str], guards_loops: bool) -> SamplingParams {
        let arguments = [&["smolvlm", "chat"], flags].concat();
        let Command::Chat(chat) = Cli::try_parse_from(arguments).unwrap().command else { panic!("not chat") };
        chat.sampling.params(model, guards_loops).unwrap()
    }

    #[test]
    fn flags_override_the_checkpoint() {
        let model = SmolVlm::load(Source::random(Preset::Tiny), Options::default()).unwrap();
        let params = |flags: &[&str]| params(&model, flags, false);
        assert_eq!(params(&[]), model.sampling());

        let ids = |text| model.processor().encode(text).unwrap();
        let words = params(&["--bad-word", "ab", "--bad-word", "c"]).bad_words_ids;
        assert_eq!(words, [ids("ab"), ids(" ab"), ids("c"), ids(" c")]);

        let special = params(&["--keep-special-tokens", "--max-time", "1.5", "--stop", "a", "--stop", "b"]);
        let expected = model.sampling().skip_special_tokens(false).stop_strings(["a", "b"]);
        assert_eq!(special, expected.max_time(std::time::Duration::from_millis(1500)));
    }

    #[test]
    fn loop_guard_follows_flag_or_command_default() {
        let model = SmolVlm::load(Source::random(Preset::Tiny), Options::default()).unwrap();
        let guarded = |flags: &[&str], default| params(&model, flags, default).loop_guard == Some(LoopGuard::default());
        assert!(guarded(&[], true) && guarded(&["--loop-guard"], false));
        assert!(!guarded(&[], false) && !guarded(&["--no-loop-guard"], true));
    }
}
