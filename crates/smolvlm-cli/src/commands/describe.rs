//! `smolvlm describe`: describes images and videos.

use crate::args::Describe;
use crate::failure::Failure;
use crate::{answer, media, show};
use smolvlm::{Conversation, Message, Options};

/// Streams the answer to stdout, then prints the timings to stderr. Results of a beam search and several answers are
/// printed at the end.
pub fn run(args: &Describe) -> Result<(), Failure> {
    args.model.check_takes_media()?;
    // Pipes are read first, so that an error does not wait for the model to load.
    let piped = media::read_pipes(&args.media, args.as_video)?;
    let options = Options { sanitize_control_tokens: true, ..args.model.options() };
    let model = args.model.load_with(options)?;
    let mut message = Message::user();
    message.content = media::contents(&args.media, piped, args.as_video, model.processor())?;
    let prompt = args.prompt.as_deref().unwrap_or(media::default_prompt(&message.content, model.processor()));
    let conversation = Conversation::from(message.text(prompt));
    let params = args.sampling.params(&model, true)?;
    if args.show {
        show::media(&model, &conversation)?;
    }
    if !params.is_streamable() {
        return answer::print(&model, &model.batch(&[conversation], params)?);
    }
    if let Some(answer) = answer::stream(model.stream(conversation, params)?)? {
        answer::print_timings(&model, &answer);
    }
    Ok(())
}
