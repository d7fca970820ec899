//! An estimate of the work of a request.

use crate::generation::Job;
use crate::state::Model;
use smolvlm::config::{ImageProcessorConfig, Size};
use smolvlm::processor::MediaOptions;
use smolvlm::{Content, Prompt, VideoSource};

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

fn prompt_tokens(prompt: &Prompt, model: &Model) -> usize {
    let processor = model.smolvlm.processor();
    let tile = processor.config().image_seq_len;
    let content = |content: &Content, options: MediaOptions| match content {
        Content::Text(text) => text.len().div_ceil(TOKEN_BYTES),
        Content::Image(_) => {
            tile.saturating_mul(max_tiles(&options.image_config(processor.image_processor().config())))
        }
        Content::Video(VideoSource::Frames(list)) => tile.saturating_mul(list.images.len()),
        // The number of frames is unknown.
        _ => usize::MAX,
    };
    match prompt {
        Prompt::Text(text) => text.len().div_ceil(TOKEN_BYTES),
        Prompt::Tokens(ids) => ids.len(),
        Prompt::Conversation(conversation, _) => {
            let contents = conversation
                .messages
                .iter()
                .flat_map(|message| message.content.iter().map(|item| content(item, message.media_options)));
            contents.fold(0, usize::saturating_add)
        }
        _ => usize::MAX,
    }
}

/// The number of tiles of a large square image.
fn max_tiles(config: &ImageProcessorConfig) -> usize {
    let edge = match config.pixels.size {
        Size::LongestEdge(edge) => edge,
        Size::Exact { height, width } => height.max(width),
    };
    let tiles = edge.div_ceil(config.pixels.max_image_size.max(1)) as usize;
    if config.do_image_splitting && tiles > 1 { tiles * tiles + 1 } else { 1 }
}
