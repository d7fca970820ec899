//! The prompts of questions about one conversation, and what they share.

use super::question::Question;
use crate::features::{Key, MediaFeatures, missing_features};
use crate::{Error, SmolVlm};
use smolvlm_generate::SamplingParams;
use smolvlm_processor::{Content, Conversation, Media, MediaPlan, Message, PrepareOptions, RenderOptions, VideoNote};

/// The prompts of all questions.
pub(super) struct Prompts {
    /// The tokens that all prompts start with.
    pub(super) shared: Vec<u32>,
    /// The other tokens of each prompt.
    pub(super) questions: Vec<Vec<u32>>,
    pub(super) media: Vec<Media>,
    /// Features of [`Media::Precomputed`], in order.
    pub(super) known: Vec<MediaFeatures>,
    /// For each medium the hash of its file, if it is to be remembered.
    pub(super) sources: Vec<Option<Key>>,
    /// Edge of a tile in pixels.
    pub(super) edge: usize,
    pub(super) notes: Vec<VideoNote>,
    /// Start of answers: a space, unless the prompt ends with one.
    pub(super) space: &'static str,
}

impl Prompts {
    /// Renders the conversation with each question. Its media are read once.
    pub(super) fn prepare(model: &SmolVlm, conversation: Conversation, questions: &[Question]) -> Result<Self, Error> {
        let loaded = &*model.loaded;
        let mut texts = questions.iter().map(Question::text);
        let (first, recalled) = model.recall(asking(conversation, texts.next().unwrap_or_default()));
        let prepare = || {
            let options = PrepareOptions::new(RenderOptions::answer()).cancel(model.cancel.clone());
            let prepared = loaded.processor.prepare_with(std::slice::from_ref(&first), &options)?;
            model.admit(&[prepared.prompt_tokens(0)], &SamplingParams::greedy().max_new_tokens(1))?;
            let mut batch = prepared.load()?;
            let media = std::mem::take(&mut batch.media).into_iter().next().unwrap_or_default();
            let (known, sources) = recalled.of_prompt(&first, &media);
            let plans: Vec<MediaPlan> = media.iter().map(|media| media.plan().clone()).collect();
            let mut ids: Vec<Vec<u32>> = vec![model.prompt_ids(&batch, 0)?];
            let mut next = planned(first, &plans)?;
            for text in texts {
                if model.cancel.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                replace_question(&mut next, text);
                let next = loaded.processor.prepare(std::slice::from_ref(&next), &RenderOptions::answer())?;
                ids.push(model.prompt_ids(&next.load()?, 0)?);
            }
            Ok::<_, Error>((batch, media, known, sources, ids))
        };
        let (batch, media, known, sources, ids) = loaded.threads.prepare(prepare)??;
        let shared = ids.iter().skip(1).fold(ids[0].len(), |shared, other| common(&ids[0][..shared], other));
        let prompts = Self {
            shared: ids[0][..shared].to_vec(),
            questions: ids.iter().map(|ids| ids[shared..].to_vec()).collect(),
            media,
            known,
            sources,
            edge: batch.edge,
            notes: batch.notes(0),
            space: if batch.prompts[0].ends_with(char::is_whitespace) { "" } else { " " },
        };
        if prompts.shared.is_empty() {
            let problem = "this model's chat template puts the question first; ask one question at a time".to_owned();
            return Err(Error::Question { index: 0, field: "question", problem });
        }
        // Images are before the question in all known templates.
        if let Some(index) = prompts.questions.iter().position(|ids| ids.contains(&loaded.config.image_token_id)) {
            let problem = "this model's chat template puts the question before images".to_owned();
            return Err(Error::Question { index, field: "question", problem });
        }
        Ok(prompts)
    }
}

/// Length of the common start of two lists.
fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Appends a question as the last content item: to the last message if it is the user's, on a new line after its text,
/// otherwise as a new message.
fn asking(mut conversation: Conversation, question: &str) -> Conversation {
    match conversation.messages.last_mut() {
        Some(message) if message.role == "user" => {
            let line_break = if matches!(message.content.last(), Some(Content::Text(_))) { "\n" } else { "" };
            message.content.push(Content::Text(format!("{line_break}{question}")));
            message.is_string = false;
        }
        _ => conversation.messages.push(Message::user().text(question)),
    }
    conversation
}

/// Replaces the question of [`asking`].
fn replace_question(conversation: &mut Conversation, question: &str) {
    let content = conversation.messages.last_mut().map(|message| &mut message.content);
    if let Some(content) = content
        && content.pop().is_some()
    {
        let line_break = if matches!(content.last(), Some(Content::Text(_))) { "\n" } else { "" };
        content.push(Content::Text(format!("{line_break}{question}")));
    }
}

/// The conversation with its images and videos replaced by their plans, which are in the order of the prompt: there,
/// images keep their order in the conversation, and so do videos.
fn planned(mut conversation: Conversation, plans: &[MediaPlan]) -> Result<Conversation, Error> {
    let is_video = |plan: &&MediaPlan| matches!(plan, MediaPlan::Video(_));
    let (mut videos, mut images) = (plans.iter().filter(is_video), plans.iter().filter(|plan| !is_video(plan)));
    for content in conversation.messages.iter_mut().flat_map(|message| &mut message.content) {
        let plan = match content {
            Content::Image(_) | Content::Precomputed(MediaPlan::Image(_)) => images.next(),
            Content::Video(_) | Content::Precomputed(MediaPlan::Video(_)) => videos.next(),
            _ => continue,
        };
        *content = Content::Precomputed(plan.ok_or_else(missing_features)?.clone());
    }
    Ok(conversation)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The role of each message and its number of content items.
    fn shape(conversation: &Conversation) -> Vec<(&str, usize)> {
        conversation.messages.iter().map(|message| (message.role.as_str(), message.content.len())).collect()
    }

    fn question(conversation: &Conversation) -> &str {
        match conversation.messages.last().and_then(|message| message.content.last()) {
            Some(Content::Text(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn questions_join_the_last_message_of_the_user() {
        let image = asking(Message::user().image("a.png").into(), "What?");
        assert_eq!((shape(&image), question(&image)), (vec![("user", 2)], "What?"));
        let mut text = asking(Message::user().string("Look.").into(), "What?");
        assert_eq!((shape(&text), question(&text)), (vec![("user", 2)], "\nWhat?"));
        replace_question(&mut text, "Why?");
        assert_eq!((shape(&text), question(&text)), (vec![("user", 2)], "\nWhy?"));
        let answered = Conversation::from([Message::user().text("a"), Message::assistant().text("b")]);
        let answered = asking(answered, "What?");
        assert_eq!((shape(&answered)[2], question(&answered)), (("user", 1), "What?"));
        assert_eq!(question(&asking(Conversation::default(), "What?")), "What?");
    }
}
