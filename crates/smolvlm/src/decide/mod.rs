//! Questions with known answers, decided by the probabilities of the answers instead of generated text.

mod calibration;
mod decision;
mod forms;
mod prompts;
mod question;
#[cfg(all(test, feature = "flex"))]
mod tests;

pub use calibration::{Calibration, expected_calibration_error};
pub use decision::{Decision, OptionScore};
pub use question::{Question, QuestionKind};

use crate::engine::{Answer, EncodedPrompt, RequestOptions, Scoring, Texts, TokenizedQuestion};
use crate::{Cancel, Error, SmolVlm, Timings};
use forms::{Form, answer_logprobs, forms};
use prompts::Prompts;
use question::{Possible, Problem};
use serde::Serialize;
use smolvlm_model::Sequences;
use smolvlm_processor::{Conversation, Processor, VideoNote};
use std::time::Instant;

/// Maximum length of all questions and their options together in bytes, spellings included.
const MAX_BYTES: usize = 1 << 18;
/// Maximum number of sequences at once: enough that a step has many tokens.
const MAX_SEQUENCES: usize = 32;

/// Options of [`SmolVlm::decide`].
#[derive(Debug, Clone, Default)]
pub struct DecideOptions {
    /// The calibration of the probabilities.
    pub calibration: Calibration,
}

/// The answers to the questions about one conversation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Decisions {
    /// One per question, in their order.
    pub decisions: Vec<Decision>,
    /// Number of prompt tokens: those that all questions share, once, and those of each question.
    pub prompt_tokens: usize,
    /// Number of prompt tokens of images and frames.
    pub image_tokens: usize,
    /// Number of prompt tokens whose keys and values were kept from an earlier request with the same start.
    pub cached_tokens: usize,
    /// Warnings about images and videos that were used nevertheless; serialized as messages.
    #[serde(serialize_with = "crate::generation::messages")]
    pub notes: Vec<VideoNote>,
    /// Time per stage; `prefill` is that of the tokens that all questions share, `decode` that of the others.
    pub timings: Timings,
}

impl SmolVlm {
    /// Answers questions about a conversation with the probabilities that the model gives to their known answers. The
    /// conversation, with its images and videos, is read and encoded once for all questions; each costs its own tokens
    /// and those of its options.
    ///
    /// A question is appended to the last message if that is the user's, otherwise it is a new message. Conversations
    /// are never truncated. See [`OptionScore::logprob`] for what is compared.
    ///
    /// ```no_run
    /// use smolvlm::{DecideOptions, Message, Options, Question, SmolVlm, Source};
    ///
    /// # fn main() -> Result<(), smolvlm::Error> {
    /// let model = SmolVlm::load(Source::directory("SmolVLM2-256M-Video-Instruct"), Options::default())?;
    /// let questions = [
    ///     Question::yes_no("Is there a dog?"),
    ///     Question::choice("What is the weather?", ["sunny", "rainy", "snowy"]),
    ///     Question::integer("How many people are there?", 0..=10),
    /// ];
    /// let answers = model.decide(Message::user().image("photo.jpg"), &questions, &DecideOptions::default())?;
    /// for decision in &answers.decisions {
    ///     println!("{} {} ({:.0} %)", decision.question, decision.answer, 100.0 * decision.probability);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Question`], [`Error::Calibration`], [`Error::Cancelled`], and those of [`chat`](Self::chat).
    pub fn decide(
        &self,
        conversation: impl Into<Conversation>,
        questions: &[Question],
        options: &DecideOptions,
    ) -> Result<Decisions, Error> {
        options.calibration.validate()?;
        let answers = possible_answers(questions)?;
        if questions.is_empty() {
            return Ok(Decisions {
                decisions: Vec::new(),
                prompt_tokens: 0,
                image_tokens: 0,
                cached_tokens: 0,
                notes: Vec::new(),
                timings: Timings::default(),
            });
        }
        let clock = Instant::now();
        let loaded = &*self.loaded;
        let Prompts { shared, questions: own, media, known, sources, edge, notes, space } =
            Prompts::prepare(self, conversation.into(), questions)?;
        let forms = all_forms(&loaded.processor, &answers, space, &self.cancel)?;
        let tokenized: Vec<TokenizedQuestion> = own
            .iter()
            .zip(&forms)
            .map(|(question, forms)| TokenizedQuestion {
                question: question.clone(),
                answers: forms.iter().map(|form| form.tokens.clone()).collect(),
            })
            .collect();
        let new_tokens = longest(&tokenized);
        let context = loaded.config.text.max_position_embeddings;
        if shared.len() + new_tokens > context {
            return Err(Error::PromptTooLong { row: 0, prompt: shared.len() + new_tokens, context });
        }
        let image_tokens = loaded.image_tokens(&shared);
        let prompt_tokens = shared.len() + own.iter().map(Vec::len).sum::<usize>();
        let prompt = EncodedPrompt::new(loaded, shared, media, edge, &mut known.into_iter(), &mut sources.into_iter())?;
        let most = max_sequences(loaded.kv_tokens, new_tokens);
        let scoring = Scoring::new(tokenized, self.fitting_sequences(prompt_tokens.min(context), most));
        let request_options = RequestOptions {
            new_tokens,
            max_chunk: None,
            max_time: None,
            reuses_cache: true,
            prepare_time: clock.elapsed(),
            cancel: self.cancel.clone(),
        };
        let ticket = self.submit(prompt, Texts::Scored(Box::new(scoring)), request_options)?;
        let Answer { scores, cached_tokens, timings, .. } = ticket.wait()?;
        let mut scores = scores.as_slice();
        let decisions = questions.iter().zip(answers).zip(&forms).map(|((question, answers), forms)| {
            let (own, rest) = scores.split_at(forms.len().min(scores.len()));
            scores = rest;
            let logprobs = answer_logprobs(forms, own, answers.len());
            Decision::new(question, answers, &logprobs, &options.calibration)
        });
        Ok(Decisions { decisions: decisions.collect(), prompt_tokens, image_tokens, cached_tokens, notes, timings })
    }
}

impl Question {
    /// Checks questions that are asked together, as [`SmolVlm::decide`] does before anything else.
    ///
    /// # Errors
    ///
    /// [`Error::Question`].
    pub fn validate(questions: &[Self]) -> Result<(), Error> {
        possible_answers(questions).map(drop)
    }
}

/// The possible answers to all questions.
fn possible_answers(questions: &[Question]) -> Result<Vec<Vec<Possible>>, Error> {
    const LIMIT: usize = Question::MAX_QUESTIONS;
    if questions.len() > LIMIT {
        let problem = format!("{} questions; the limit is {LIMIT} at once", questions.len());
        return Err(Error::Question { index: LIMIT, field: "question", problem });
    }
    let mut bytes = 0;
    let answers = questions.iter().enumerate().map(|(index, question)| {
        let answers =
            question.answers().map_err(|Problem { field, problem }| Error::Question { index, field, problem })?;
        bytes += question.text().len();
        bytes += answers.iter().flat_map(|answer| &answer.spellings).map(String::len).sum::<usize>();
        if bytes > MAX_BYTES {
            let problem =
                format!("the questions so far and their answers have more than {MAX_BYTES} bytes; ask fewer at once");
            return Err(Error::Question { index, field: "question", problem });
        }
        Ok(answers)
    });
    answers.collect()
}

/// The spellings of the answers to each question.
fn all_forms(
    processor: &Processor,
    answers: &[Vec<Possible>],
    space: &str,
    cancel: &Cancel,
) -> Result<Vec<Vec<Form>>, Error> {
    let forms = answers.iter().enumerate().map(|(index, answers)| {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        forms(processor, answers, space)?.map_err(|[first, second]| {
            let problem = format!("the same entry twice: '{}' and '{}'", answers[first].text, answers[second].text);
            Error::Question { index, field: "options", problem }
        })
    });
    let forms: Vec<Vec<Form>> = forms.collect::<Result<_, _>>()?;
    // A vocabulary without bytes may lack all characters of an answer, which would then be certain.
    match forms.iter().position(|forms| forms.iter().any(|form| form.tokens.is_empty())) {
        Some(index) => {
            let problem = "an entry cannot be written with this model's vocabulary".to_owned();
            Err(Error::Question { index, field: "options", problem })
        }
        None => Ok(forms),
    }
}

/// Number of tokens of the longest question and answer.
fn longest(tokenized: &[TokenizedQuestion]) -> usize {
    let longest = |TokenizedQuestion { question, answers }: &TokenizedQuestion| {
        question.len() + answers.iter().map(Vec::len).max().unwrap_or(0)
    };
    tokenized.iter().map(longest).max().unwrap_or(0)
}

/// The number of sequences that take at most a quarter of the memory for keys and values, each with some new tokens.
fn max_sequences(kv_tokens: usize, new_tokens: usize) -> usize {
    let pages = (new_tokens / Sequences::PAGE_TOKENS + 2) * Sequences::PAGE_TOKENS;
    (kv_tokens / 4 / pages).clamp(1, MAX_SEQUENCES)
}
