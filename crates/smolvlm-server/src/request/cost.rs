//! An estimate of the work of a request.

use crate::generation::Job;
use crate::state::Model;
use smolvlm::processor::MediaOptions;
use smolvlm::{Content, Conversation, Prompt, Question, VideoSource};

/// Bytes of text per token, on average.
const TOKEN_BYTES: usize = 4;

/// The tokens of prompts and answers, estimated from the sizes of texts and the numbers of images, without reading
/// them. At most a full context per answer.
pub(crate) fn tokens(job: &Job, model: &Model) -> usize {
    let new_tokens = job.params.sampling.limit(0).unwrap_or(1);
    let context = model.context();
    let answers = job.prompts.iter().map(|prompt| {
        let tokens = prompt_tokens(prompt, model).saturating_add(new_tokens).min(context);
        tokens.saturating_mul(job.params.choices)
    });
    answers.fold(0, usize::saturating_add)
}

/// The tokens of a conversation and of questions about it with their answers, estimated likewise.
pub(crate) fn decision_tokens(conversation: &Conversation, questions: &[Question], model: &Model) -> usize {
    let bytes = |question: &Question| {
        let options = if let Question::Choice { options, .. } = question { options.as_slice() } else { &[] };
        options.iter().map(String::len).sum::<usize>() + question.text().len()
    };
    let questions = questions.iter().map(bytes).sum::<usize>().div_ceil(TOKEN_BYTES);
    conversation_tokens(conversation, model).saturating_add(questions)
}

fn prompt_tokens(prompt: &Prompt, model: &Model) -> usize {
    match prompt {
        Prompt::Text(text) => text.len().div_ceil(TOKEN_BYTES),
        Prompt::Tokens(ids) => ids.len(),
        Prompt::Conversation(conversation, _) => conversation_tokens(conversation, model),
        _ => usize::MAX,
    }
}

fn conversation_tokens(conversation: &Conversation, model: &Model) -> usize {
    let processor = model.smolvlm.processor();
    let tile = processor.config().image_seq_len;
    let content = |content: &Content, options: MediaOptions| match content {
        Content::Text(text) => text.len().div_ceil(TOKEN_BYTES),
        Content::Image(_) => {
            tile.saturating_mul(options.image_config(processor.image_processor().config()).max_tiles())
        }
        Content::Video(VideoSource::Frames(list)) => tile.saturating_mul(list.images.len()),
        // The number of frames is unknown.
        _ => usize::MAX,
    };
    let contents = conversation
        .messages
        .iter()
        .flat_map(|message| message.content.iter().map(|item| content(item, message.media_options)));
    contents.fold(0, usize::saturating_add)
}
