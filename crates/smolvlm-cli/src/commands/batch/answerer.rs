//! Rows answered by a model.

use super::conversation::Recipe;
use super::output::Answer;
use super::permits::{Permit, Permits};
use super::row::Row;
use super::run::{Answerer, Outcome};
use serde_json::Value;
use smolvlm::{
    Cancel, Content, Conversation, Error, ErrorKind, Event, FinishReason, Generation, SamplingParams, SmolVlm,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Number of rows whose media are decoded and encoded at the same time. More would only take memory: the tiles of
/// one row after the other are encoded.
const PREPARED: usize = 4;

/// The error of a row that causes a panic.
const PANICKED: &str = "internal error, which stderr shows; please report it";

/// A model and what to ask it.
pub struct ModelAnswerer {
    model: SmolVlm,
    stop: Cancel,
    params: SamplingParams,
    recipe: Recipe,
    id_column: Option<String>,
    preparing: Permits,
}

impl ModelAnswerer {
    /// Answers with a model until `stop` is cancelled.
    pub fn new(
        model: &SmolVlm,
        stop: &Cancel,
        params: SamplingParams,
        recipe: Recipe,
        id_column: Option<String>,
    ) -> Self {
        let (model, preparing) = (model.with_cancel(stop), Permits::new(PREPARED));
        Self { model, stop: stop.clone(), params, recipe, id_column, preparing }
    }

    /// The answer; none if the run was cancelled.
    fn generate(&self, conversation: Conversation, index: u64) -> Result<Option<Generation>, Error> {
        let mut params = self.params.clone();
        params.seed = params.seed.map(|seed| seed.wrapping_add(index));
        let Some(permit) = self.preparing.acquire(&self.stop) else { return Ok(None) };
        if !params.is_streamable() {
            return self.model.generate(conversation, params).map(Some);
        }
        let mut permit: Option<Permit<'_>> = Some(permit);
        for event in self.model.stream(conversation, params)? {
            match event? {
                Event::Finished(generation) => return Ok(Some(generation)),
                // Its prompt is done, and its pixels are gone.
                _ => permit = None,
            }
        }
        drop(permit);
        Ok(None)
    }

    /// The outcome of a row with an identifier.
    fn outcome(&self, row: Row, id: Value) -> Outcome {
        let index = row.index;
        let conversation = match self.recipe.conversation(row, self.model.processor()) {
            Ok(conversation) => conversation,
            Err(error) => return Outcome::Answered(Answer::failed(id, without_conversation(&error)), 0),
        };
        let contents = conversation.messages.iter().flat_map(|message| &message.content);
        let images = contents.filter(|content| matches!(content, Content::Image(_))).count() as u64;
        match self.generate(conversation, index) {
            Ok(Some(generation)) if generation.finish_reason != FinishReason::Cancelled => {
                Outcome::Answered(Answer::new(id, &generation), images)
            }
            Ok(_) | Err(Error::Cancelled) => Outcome::Cancelled,
            // The next rows would fail, too.
            Err(error) if error.kind() == ErrorKind::Device || matches!(error, Error::EngineStopped) => {
                Outcome::Failed(error.into())
            }
            Err(error) => Outcome::Answered(Answer::failed(id, without_conversation(&error.to_string())), images),
        }
    }
}

impl Answerer for ModelAnswerer {
    fn answer(&self, row: Row) -> Outcome {
        let id = match row.id(self.id_column.as_deref()) {
            Ok(id) => id,
            Err(error) => return Outcome::Answered(Answer::failed(row.index.into(), error), 0),
        };
        // One row must not end the run of millions.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.outcome(row, id.clone())));
        outcome.unwrap_or_else(|_| Outcome::Answered(Answer::failed(id, PANICKED.to_owned()), 0))
    }
}

/// An error without the position of its only conversation.
fn without_conversation(error: &str) -> String {
    error.strip_prefix("conversation 0").map_or(error, |rest| rest.trim_start_matches([':', ',', ' '])).to_owned()
}
