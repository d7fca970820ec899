//! Batches with known prompts and media that are not decoded yet.

use crate::batch::Batch;
use crate::error::{Error, Position};
use crate::estimate::Estimate;
use crate::media::{Opened, Opener};
use crate::media_options::MediaOptions;
use crate::message::Conversation;
use crate::plan::{Media, MediaPlan};
use crate::process::Item;
use crate::processor::Processor;
use crate::prompt::Prompt;
use crate::template::RenderOptions;
use smolvlm_video::Cancel;

/// Options of [`Processor::prepare_with`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PrepareOptions {
    /// Options of rendering the chat template.
    pub render: RenderOptions,
    /// Maximum number of prompt tokens: each conversation is truncated as by [`Processor::fit`]. Media of dropped
    /// messages are not downloaded, except those of the last turn that was tried. No truncation if none.
    pub max_tokens: Option<usize>,
    /// A token that stops downloads and decoding from elsewhere with [`Error::Cancelled`].
    pub cancel: Cancel,
}

impl PrepareOptions {
    /// Options without truncation, with a new token.
    pub fn new(render: RenderOptions) -> Self {
        Self { render, max_tokens: None, cancel: Cancel::new() }
    }

    /// Sets the maximum number of prompt tokens.
    #[must_use]
    pub fn max_tokens(mut self, tokens: usize) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    /// Sets the token that stops the work.
    #[must_use]
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }
}

/// A batch of conversations whose media are opened and planned from their headers: token counts are known, and nothing
/// is decoded before [`Prepared::load`].
///
/// ```
/// # use smolvlm_processor::{Message, Processor, ProcessorConfig, RenderOptions};
/// # use smolvlm_processor::{RELEASED_CHAT_TEMPLATE, synthetic_tokenizer};
/// # let template = RELEASED_CHAT_TEMPLATE.to_owned();
/// # let processor = Processor::new(ProcessorConfig::default(), synthetic_tokenizer(49_280)?, Some(template))?;
/// let conversations = [Message::user().text("Hello!").into()];
/// let prepared = processor.prepare(&conversations, &RenderOptions::answer())?;
/// if prepared.prompt_tokens(0) < 8192 {
///     let batch = prepared.load()?;
///     assert_eq!(batch.rows, 1);
/// }
/// # Ok::<(), smolvlm_processor::Error>(())
/// ```
pub struct Prepared<'a> {
    processor: &'a Processor,
    rows: Vec<PreparedRow<'a>>,
    cancel: Cancel,
}

/// One conversation of the batch.
pub(crate) struct PreparedRow<'a> {
    /// The rendered conversation, with one placeholder per medium.
    pub text: Prompt,
    /// In the order of the placeholders.
    pub media: Vec<Planned<'a>>,
    /// The expanded prompt and its token ids.
    prompt: Prompt,
    ids: Vec<u32>,
}

/// An opened medium and its plan.
pub(crate) struct Planned<'a> {
    pub at: Position,
    pub options: MediaOptions,
    pub opened: Opened<'a>,
    pub plan: MediaPlan,
}

impl Processor {
    /// Renders conversations, opens their media and plans them from their headers. Each URL is downloaded once, here.
    ///
    /// # Errors
    /// As [`Processor::process`], except that damage beyond the headers is not detected.
    pub fn prepare<'a>(
        &'a self,
        conversations: &'a [Conversation],
        options: &RenderOptions,
    ) -> Result<Prepared<'a>, Error> {
        self.prepare_all(conversations, options, &mut Opener::new(self, Cancel::new()))
    }

    /// As [`prepare`](Self::prepare), with more options.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare), and those of the [`PrepareOptions`].
    pub fn prepare_with<'a>(
        &'a self,
        conversations: &'a [Conversation],
        options: &PrepareOptions,
    ) -> Result<Prepared<'a>, Error> {
        let PrepareOptions { render, max_tokens, cancel } = options;
        let mut opener = Opener::new(self, cancel.clone());
        match *max_tokens {
            Some(max_tokens) => self.prepare_fitting(conversations, render, max_tokens, &mut opener),
            None => self.prepare_all(conversations, render, &mut opener),
        }
    }

    fn prepare_fitting<'a>(
        &'a self,
        conversations: &'a [Conversation],
        options: &RenderOptions,
        max_tokens: usize,
        opener: &mut Opener<'_>,
    ) -> Result<Prepared<'a>, Error> {
        self.check_all(conversations)?;
        let (mut rows, mut tiles) = (Vec::with_capacity(conversations.len()), 0);
        for (row, conversation) in conversations.iter().enumerate() {
            let fitted = self.fitted(conversation, options, max_tokens, position(conversations, row), opener)?;
            for medium in &fitted.media {
                tiles = self.add_tiles(tiles, &medium.plan)?;
            }
            rows.push(PreparedRow::new(fitted.text, fitted.media));
        }
        self.planned(rows, opener.cancel())
    }

    pub(crate) fn prepare_all<'a>(
        &'a self,
        conversations: &'a [Conversation],
        options: &RenderOptions,
        opener: &mut Opener<'_>,
    ) -> Result<Prepared<'a>, Error> {
        self.check_all(conversations)?;
        // All conversations are rendered and counted before the first medium is opened, so that errors are reported
        // early.
        let mut texts = Vec::with_capacity(conversations.len());
        for (row, conversation) in conversations.iter().enumerate() {
            let text = self.render_at(conversation, options, position(conversations, row))?;
            let items = self.items_of(&text, conversation, row, position(conversations, row))?;
            texts.push((text, items));
        }
        let mut tiles = 0;
        let mut rows = Vec::with_capacity(conversations.len());
        for (text, items) in texts {
            let mut media = Vec::with_capacity(items.len());
            for item in items {
                let planned = self.open_planned(item, opener)?;
                tiles = self.add_tiles(tiles, &planned.plan)?;
                media.push(planned);
            }
            rows.push(PreparedRow::new(text, media));
        }
        self.planned(rows, opener.cancel())
    }

    fn check_all(&self, conversations: &[Conversation]) -> Result<(), Error> {
        if conversations.is_empty() {
            return Err(Error::EmptyBatch);
        }
        let mut rows = conversations.iter().enumerate();
        rows.try_for_each(|(row, conversation)| {
            self.media_policy().check_at(conversation, position(conversations, row))
        })
    }

    /// Opens a medium and computes its plan.
    pub(crate) fn open_planned<'a>(&self, item: Item<'a>, opener: &mut Opener<'_>) -> Result<Planned<'a>, Error> {
        let Item { at, source, options } = item;
        let opened = opener.open(source, at)?;
        let plan = opened.plan(self, options, at)?;
        Ok(Planned { at, options, opened, plan })
    }

    /// Adds the tiles of one medium to the tile count of the batch; an error if the limit is exceeded.
    fn add_tiles(&self, tiles: usize, plan: &MediaPlan) -> Result<usize, Error> {
        let (tiles, limit) = (tiles.saturating_add(plan.tiles()), self.limits().max_batch_tiles);
        if tiles > limit { Err(Error::TooManyTiles { tiles, limit }) } else { Ok(tiles) }
    }

    fn planned<'a>(&'a self, rows: Vec<PreparedRow<'a>>, cancel: &Cancel) -> Result<Prepared<'a>, Error> {
        let mut prepared = Prepared { processor: self, rows, cancel: cancel.clone() };
        let plans: Vec<Vec<MediaPlan>> = prepared.rows.iter().map(PreparedRow::plans).collect();
        prepared.write_prompts(&plans)?;
        Ok(prepared)
    }
}

impl Prepared<'_> {
    /// Number of conversations.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Number of prompt tokens of a conversation without padding; 0 for a row that does not exist.
    pub fn prompt_tokens(&self, row: usize) -> usize {
        self.rows.get(row).map_or(0, |row| row.ids.len())
    }

    /// Token and tile counts of each conversation.
    pub fn estimates(&self) -> Vec<Estimate> {
        self.rows.iter().map(|row| self.processor.estimate_of(row.plans(), row.ids.len())).collect()
    }

    /// Decodes the media one after the other, so that only one decoded medium is in memory in addition to the tiles.
    ///
    /// # Errors
    /// Decoding errors of media that are damaged beyond their headers, [`Error::Cancelled`].
    pub fn load(mut self) -> Result<Batch, Error> {
        let processor = self.processor;
        let mut media: Vec<Vec<Media>> = Vec::with_capacity(self.rows.len());
        let mut is_as_planned = true;
        for row in &mut self.rows {
            let mut loaded = Vec::with_capacity(row.media.len());
            for Planned { at, options, opened, plan } in row.media.drain(..) {
                if self.cancel.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                let medium = opened.load(processor, options, at)?;
                is_as_planned &= medium.plan() == plan;
                loaded.push(medium);
            }
            media.push(loaded);
        }
        if !is_as_planned {
            // If a file changed or does not match its header, the prompt is rebuilt from the decoded media.
            let plans: Vec<Vec<MediaPlan>> = media.iter().map(|row| row.iter().map(Media::plan).collect()).collect();
            self.write_prompts(&plans)?;
        }
        let (prompts, ids): (Vec<_>, Vec<_>) =
            self.rows.into_iter().map(|row| (row.prompt.to_string(), row.ids)).unzip();
        Batch::new(&ids, prompts, media, || {
            let missing = Error::MissingToken { name: "pad_token", token: String::new() };
            processor.pad_token_id().ok_or(missing)
        })
    }

    /// Expands and tokenizes the prompts for the given media.
    fn write_prompts(&mut self, plans: &[Vec<MediaPlan>]) -> Result<(), Error> {
        let announced = self.processor.announced(plans.iter().flatten());
        for (index, (row, plans)) in self.rows.iter_mut().zip(plans).enumerate() {
            row.prompt = self.processor.expansion(announced).expand(&row.text, plans, index)?;
            row.ids = self.processor.encode_checked(&row.prompt, plans, index)?;
        }
        Ok(())
    }
}

impl<'a> PreparedRow<'a> {
    fn new(text: Prompt, media: Vec<Planned<'a>>) -> Self {
        Self { text, media, prompt: String::new().into(), ids: Vec::new() }
    }

    fn plans(&self) -> Vec<MediaPlan> {
        self.media.iter().map(|medium| medium.plan.clone()).collect()
    }
}

/// Position of a conversation; without an index if it is the only one.
fn position(conversations: &[Conversation], row: usize) -> Position {
    Position::conversation((conversations.len() > 1).then_some(row))
}
