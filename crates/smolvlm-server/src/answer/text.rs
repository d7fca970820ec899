//! The text of an answer, as it is sent.

use crate::answer::logprobs::{TextToken, TokenAligner};
use crate::answer::stop_filter::StopFilter;
use crate::request::params::AnswerParams;
use smolvlm::TokenLogprobs;
use smolvlm::processor::Processor;

/// Converts the text and tokens of a generation to the parts of an answer: without what follows a stop string, without
/// white space at the start, and with the tokens of each part if log-probabilities are requested.
pub(crate) struct AnswerText<'a> {
    filter: StopFilter,
    aligner: Option<TokenAligner<'a>>,
}

/// Text that can be sent, which may be empty, and its tokens.
pub(crate) type Part = (String, Vec<TextToken>);

impl<'a> AnswerText<'a> {
    /// `trims` removes white space at the start of the text.
    pub(crate) fn new(processor: &'a Processor, params: &AnswerParams, trims: bool) -> Self {
        let sampling = &params.sampling;
        let aligner = || TokenAligner::new(processor, sampling.skip_special_tokens, trims);
        Self { filter: StopFilter::new(params.stop.clone(), trims), aligner: sampling.logprobs.map(|_| aligner()) }
    }

    pub(crate) fn push_token(&mut self, id: u32, logprobs: &TokenLogprobs) {
        if let Some(aligner) = &mut self.aligner {
            aligner.push_token(id, logprobs);
        }
    }

    pub(crate) fn push(&mut self, text: &str) -> Part {
        let text = self.filter.push(text);
        self.align(text)
    }

    /// The rest, at the end of the generation, in at most two parts.
    pub(crate) fn finish(&mut self) -> [Part; 2] {
        let text = self.filter.finish();
        [self.align(text), self.aligner.as_mut().map(TokenAligner::finish).unwrap_or_default()]
    }

    fn align(&mut self, text: String) -> Part {
        match &mut self.aligner {
            Some(aligner) => aligner.push_text(&text),
            None => (text, Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AnswerText, Part};
    use crate::request::params::AnswerParams;
    use smolvlm::processor::{Processor, ProcessorConfig, synthetic_tokenizer};
    use smolvlm::{SamplingParams, TokenLogprobs};

    fn processor() -> Processor {
        Processor::new(ProcessorConfig::default(), synthetic_tokenizer(49_280).unwrap(), None).unwrap()
    }

    /// The parts of a text whose tokens are those of the given strings.
    fn parts(processor: &Processor, pieces: &[&str], stop: &[&str]) -> Vec<Part> {
        let stop: Vec<String> = stop.iter().map(|&stop| stop.to_owned()).collect();
        let params =
            AnswerParams { sampling: SamplingParams::greedy().logprobs(0), choices: 1, stop, constrained_by: None };
        let mut text = AnswerText::new(processor, &params, true);
        let mut deltas = processor.text_deltas(true);
        let mut parts = Vec::new();
        for id in pieces.iter().flat_map(|piece| processor.encode(piece).unwrap()) {
            text.push_token(id, &TokenLogprobs { logprob: -1.0, top: Vec::new() });
            parts.extend(deltas.push(id).unwrap().map(|delta| text.push(&delta)));
        }
        parts.extend(deltas.finish().unwrap().map(|delta| text.push(&delta)));
        parts.extend(text.finish());
        parts.retain(|part| !part.0.is_empty() || !part.1.is_empty());
        parts
    }

    fn concatenated(parts: &[Part]) -> String {
        for (text, tokens) in parts {
            let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.piece.bytes.clone()).collect();
            assert_eq!(String::from_utf8(bytes).unwrap(), *text);
        }
        parts.iter().map(|part| part.0.as_str()).collect()
    }

    #[test]
    fn the_tokens_of_each_part_are_its_text() {
        let processor = processor();
        let whole = parts(&processor, &[" It", " is", " 日本 and \u{1f600}", " a", " cat."], &[]);
        assert_eq!(concatenated(&whole), "It is 日本 and \u{1f600} a cat.");
        assert!(whole.len() > 4);
        // Stop strings begin and end inside of tokens.
        for (stop, expected) in
            [("s 日", "It i"), ("ca", "It is 日本 "), ("本", "It is 日"), ("It", ""), ("x", "It is 日本 cat")]
        {
            let parts = parts(&processor, &[" It", " is", " 日本", " cat"], &[stop]);
            assert_eq!(concatenated(&parts), expected, "{stop}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_keep_their_tokens() {
        let processor = processor();
        let half = processor.encode("日").unwrap();
        assert!(half.len() > 1, "{half:?}");
        let params = AnswerParams {
            sampling: SamplingParams::greedy().logprobs(0),
            choices: 1,
            stop: Vec::new(),
            constrained_by: None,
        };
        let mut text = AnswerText::new(&processor, &params, true);
        let logprobs = TokenLogprobs { logprob: -1.0, top: Vec::new() };
        text.push_token(half[0], &logprobs);
        let mut sent = vec![text.push("\u{fffd}")];
        text.push_token(processor.encode("a").unwrap()[0], &logprobs);
        sent.push(text.push("a"));
        sent.extend(text.finish());
        assert_eq!(sent.iter().map(|part| part.0.as_str()).collect::<String>(), "\u{fffd}a");
        assert_eq!(sent.iter().map(|part| part.1.len()).sum::<usize>(), 2);
    }
}
