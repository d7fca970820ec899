//! How answers are chosen, and when they end.

use crate::failure::Failure;
use clap::Args;
use smolvlm::processor::Processor;
use smolvlm::{Error, LoopGuard, SamplingParams, SmolVlm};
use std::time::Duration;

/// How answers are chosen, and when they end. What is not given is as in the checkpoint's generation_config.json; names
/// and meanings are those of transformers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Answer")]
pub struct Sampling {
    /// Longest answer, in tokens [default: the checkpoint's, else 256]
    #[arg(long, value_name = "N")]
    pub max_new_tokens: Option<usize>,
    /// Shortest answer, in tokens
    #[arg(long, value_name = "N")]
    pub min_new_tokens: Option<usize>,
    /// Draw tokens at random instead of taking the likeliest. So do temperature, top-k, top-p, min-p, typical-p and seed,
    /// unless --greedy is given
    #[arg(long)]
    pub do_sample: bool,
    /// Take the likeliest token, whatever else is given
    #[arg(long, conflicts_with = "do_sample")]
    pub greedy: bool,
    /// Below 1 likely tokens get likelier, above 1 less so; 0 takes the likeliest, as --greedy
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    pub temperature: Option<f32>,
    /// Draw from this many likeliest tokens; 0 is all [default: the checkpoint's, else 50]
    #[arg(long, value_name = "N")]
    pub top_k: Option<usize>,
    /// Draw from the likeliest tokens that have this probability together, 0 to 1
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub top_p: Option<f32>,
    /// Draw from tokens that are at least this fraction as likely as the likeliest, 0 to 1
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub min_p: Option<f32>,
    /// Draw from the most typical tokens that have this probability together, above 0 and up to 1
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub typical_p: Option<f32>,
    /// The same seed gives the same answer
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Above 1 tokens that occurred already get less likely
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub repetition_penalty: Option<f32>,
    /// No run of this many tokens twice, those of the prompt included; 0 is off
    #[arg(long, value_name = "N")]
    pub no_repeat_ngram_size: Option<usize>,
    /// End the answer when this text appears, which stays in it; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// Never write this word in this very spelling, neither behind a space nor without one; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub bad_word: Vec<String>,
    /// Log-probabilities of every token and of the N likeliest ones, for --json
    #[arg(long, value_name = "N")]
    pub logprobs: Option<usize>,
    /// Beams of a beam search; 1 is none
    #[arg(long, value_name = "N")]
    pub num_beams: Option<usize>,
    /// Exponent of the length that a beam's score is divided by: above 0 favors long answers
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub length_penalty: Option<f32>,
    /// Answers to each conversation: more than 1 needs sampling, or as many beams
    #[arg(long, value_name = "N")]
    pub num_return_sequences: Option<usize>,
    /// End the answer after this time
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub max_time: Option<Duration>,
    /// Leave special tokens (end of text, image markers) in the answer
    #[arg(long)]
    pub keep_special_tokens: bool,
    /// End an answer that repeats itself without end; `describe` and `chat` do unless told otherwise
    #[arg(long)]
    pub loop_guard: bool,
    /// Let answers repeat themselves
    #[arg(long, conflicts_with = "loop_guard")]
    pub no_loop_guard: bool,
    /// Prompt tokens to process at once, to save memory [default: all]
    #[arg(long, value_name = "N")]
    pub prefill_chunk: Option<usize>,
}

impl Sampling {
    /// The checkpoint's parameters with what was given in their place; texts that end an answer and bad words come on top
    /// of the checkpoint's. `guards_loops` is what happens to loops if nothing was said about them.
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
        params.do_sample = !self.is_greedy() && (params.do_sample || self.asks_for_chance());
        params.skip_special_tokens &= !self.keep_special_tokens;
        params.stop_strings.extend_from_slice(&self.stop);
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

    fn asks_for_chance(&self) -> bool {
        let fractions = [self.temperature, self.top_p, self.min_p, self.typical_p];
        self.do_sample || self.top_k.is_some() || self.seed.is_some() || fractions.iter().any(Option::is_some)
    }

    /// The tokens of each bad word, with a space in front of it and without: to the tokenizer these are different words.
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
        let words = [&["smolvlm", "chat"], flags].concat();
        let Command::Chat(chat) = Cli::try_parse_from(words).unwrap().command else { panic!("not chat") };
        chat.sampling.params(model, guards_loops).unwrap()
    }

    #[test]
    fn flags_take_the_place_of_the_checkpoints_parameters() {
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
    fn loops_are_guarded_where_the_command_or_a_flag_says_so() {
        let model = SmolVlm::load(Source::random(Preset::Tiny), Options::default()).unwrap();
        let guarded = |flags: &[&str], default| params(&model, flags, default).loop_guard == Some(LoopGuard::default());
        assert!(guarded(&[], true) && guarded(&["--loop-guard"], false));
        assert!(!guarded(&[], false) && !guarded(&["--no-loop-guard"], true));
    }
}
