//! Truncation of conversations to a token budget.

use std::collections::BTreeMap;

use smolvlm_config::TileGrid;
use smolvlm_video::{VideoMetadata, VideoPlan};

use crate::error::{Error, Position};
use crate::media::Opener;
use crate::message::{Content, Conversation, Message};
use crate::plan::MediaPlan;
use crate::prepare::Planned;
use crate::process::Item;
use crate::processor::Processor;
use crate::prompt::Prompt;
use crate::source::{ImageSource, VideoSource, scheme};
use crate::template::RenderOptions;

/// Message and item index of a medium in the full conversation.
type ItemIndex = (usize, usize);

/// The longest suffix of a conversation that fits.
pub(crate) struct Fitted<'a> {
    /// Index of the first kept message after the leading system messages.
    start: usize,
    pub text: Prompt,
    /// In the order of the placeholders in `text`.
    pub media: Vec<Planned<'a>>,
}

impl Processor {
    /// Drops the oldest messages of a conversation until its prompt has at most `max_tokens` tokens. Messages are
    /// dropped as a whole, so images are never split; leading system messages and the last message are always kept.
    ///
    /// # Errors
    /// [`Error::TooLong`] if the last message alone is too long; otherwise as [`Processor::estimate`].
    pub fn fit(
        &self,
        conversation: &Conversation,
        options: &RenderOptions,
        max_tokens: usize,
    ) -> Result<Conversation, Error> {
        let at = Position::default();
        self.media_policy().check_at(conversation, at)?;
        let start = self.fitted(conversation, options, max_tokens, at, &mut Opener::headers_only(self))?.start;
        let kept = kept_messages(conversation, start);
        Ok(Conversation::new(kept.filter_map(|index| conversation.messages.get(index).cloned())))
    }

    /// Searches from the last turn to the first, so that only media that may fit are opened, each once. If nothing has
    /// to be downloaded, the full conversation is tried first, because it usually fits.
    pub(crate) fn fitted<'a>(
        &self,
        conversation: &'a Conversation,
        options: &RenderOptions,
        max_tokens: usize,
        at: Position,
        opener: &mut Opener<'_>,
    ) -> Result<Fitted<'a>, Error> {
        let light = Conversation::new(conversation.messages.iter().map(without_data));
        // Errors in the conversation are reported before the first medium is opened.
        let text = self.render_at(&light, options, at)?;
        self.items_of(&text, &light, 0, at)?;

        let mut opened: BTreeMap<ItemIndex, Planned<'a>> = BTreeMap::new();
        let mut best: Option<(usize, Prompt, Vec<ItemIndex>)> = None;
        let starts = candidate_starts(conversation);
        let whole = starts.first().copied().filter(|_| !has_downloads(conversation));
        let mut tries_whole = whole.is_some();
        for start in whole.into_iter().chain(starts.into_iter().rev()) {
            let indices: Vec<usize> = kept_messages(conversation, start).collect();
            let is_kept = |message: usize| message >= start || message < leading_system_messages(conversation);
            for (message, item, content) in conversation.items().filter(|&(message, ..)| is_kept(message)) {
                let owner = conversation.messages.get(message);
                if let Some(medium) = owner.and_then(|owner| Item::of(owner, content, at.message(message).item(item)))
                    && !opened.contains_key(&(message, item))
                {
                    opened.insert((message, item), self.open_planned(medium, opener)?);
                }
            }
            let kept = Conversation::new(indices.iter().filter_map(|&index| light.messages.get(index).cloned()));
            let text = self.render_at(&kept, options, at)?;
            let items = self.items_of(&text, &kept, 0, at)?;
            let original = |item: &Item<'_>| {
                Some((*indices.get(item.at.message.unwrap_or_default())?, item.at.item.unwrap_or_default()))
            };
            let order: Vec<ItemIndex> = items.iter().filter_map(original).collect();
            let plans: Vec<MediaPlan> =
                order.iter().filter_map(|position| opened.get(position)).map(|planned| planned.plan.clone()).collect();
            let tokens = self.count_tokens(&text, &plans, max_tokens)?;
            if tokens > max_tokens {
                if std::mem::take(&mut tries_whole) {
                    continue;
                }
                if best.is_none() {
                    return Err(Error::TooLong { tokens, limit: max_tokens });
                }
                break;
            }
            best = Some((start, text, order));
            if tries_whole {
                break;
            }
        }
        let (start, text, order) = best.ok_or(Error::TooLong { tokens: 0, limit: max_tokens })?;
        Ok(Fitted { start, text, media: order.iter().filter_map(|position| opened.remove(position)).collect() })
    }

    /// Number of tokens of an expanded prompt; only its image tokens if they already exceed the limit.
    fn count_tokens(&self, text: &Prompt, plans: &[MediaPlan], max_tokens: usize) -> Result<usize, Error> {
        let expansion = self.expansion(None);
        match expansion.tokens(plans) {
            tokens if tokens > max_tokens => Ok(tokens),
            _ => Ok(self.encode_checked(&expansion.expand(text, plans, 0)?, plans, 0)?.len()),
        }
    }
}

/// Whether any medium has to be downloaded.
fn has_downloads(conversation: &Conversation) -> bool {
    conversation.items().any(|(_, _, content)| match content {
        Content::Image(ImageSource::Url(url)) | Content::Video(VideoSource::Url(url)) => is_download(url),
        Content::Video(VideoSource::Frames(list)) => {
            list.images.iter().any(|image| matches!(image, ImageSource::Url(url) if is_download(url)))
        }
        _ => false,
    })
}

fn is_download(url: &str) -> bool {
    matches!(scheme(url), Some("http" | "https"))
}

/// Number of leading system messages.
fn leading_system_messages(conversation: &Conversation) -> usize {
    conversation.messages.iter().take_while(|message| message.role == "system").count()
}

/// Candidate start indices of the kept part: user messages, so that no answer is kept without its question.
fn candidate_starts(conversation: &Conversation) -> Vec<usize> {
    let (first, last) = (leading_system_messages(conversation), conversation.messages.len().saturating_sub(1));
    let users = conversation.messages.iter().enumerate().filter(|(_, message)| message.role == "user");
    let users = users.map(|(index, _)| index).filter(|&index| first < index && index < last);
    let mut starts = vec![first];
    starts.extend(users);
    starts.extend((first < last).then_some(last));
    starts
}

/// Indices of the messages kept for the given start.
fn kept_messages(conversation: &Conversation, start: usize) -> impl Iterator<Item = usize> {
    (0..leading_system_messages(conversation)).chain(start..conversation.messages.len())
}

/// A copy of the message as templates see it, without the data of its media.
fn without_data(message: &Message) -> Message {
    let content = message.content.iter().map(|content| match content {
        Content::Image(ImageSource::Url(url)) if scheme(url) == Some("data") => image_data(),
        Content::Image(ImageSource::Path(_) | ImageSource::Url(_)) | Content::Text(_) | Content::Precomputed(_) => {
            content.clone()
        }
        Content::Image(_) => image_data(),
        Content::Video(VideoSource::Url(url)) if scheme(url) == Some("data") => video_data(),
        Content::Video(VideoSource::Path(_) | VideoSource::Url(_)) => content.clone(),
        Content::Video(_) => video_data(),
    });
    let (role, is_string) = (message.role.clone(), message.is_string);
    let (media_options, extra) = (message.media_options, message.extra.clone());
    Message { role, is_string, content: content.collect(), media_options, extra }
}

fn image_data() -> Content {
    Content::Precomputed(MediaPlan::Image(TileGrid::WHOLE))
}

fn video_data() -> Content {
    let metadata = VideoMetadata { frames: 0, fps: None, duration: None, height: 0, width: 0 };
    Content::Precomputed(MediaPlan::Video(VideoPlan { stamps: Vec::new(), metadata, notes: Vec::new() }))
}
