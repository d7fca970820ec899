//! The messages of chat requests.

use crate::api_error::ApiError;
use crate::request::fields::Fields;
use crate::request::media_options;
use crate::state::App;
use smolvlm::{Content, Conversation, VideoSource};

/// Roles of messages. The template prints roles, so that others could imitate parts of a prompt.
pub(crate) const ROLES: [&str; 5] = ["system", "developer", "user", "assistant", "tool"];

/// Takes the messages of a request and how their media are processed, and checks them against the media policy without
/// opening anything.
pub(crate) fn parse(fields: &mut Fields<'_>, app: &App) -> Result<Conversation, ApiError> {
    let options = media_options::parse(fields)?;
    let Some(messages) = fields.raw("messages") else {
        return Err(ApiError::param("messages", "is missing; it must be a list of messages"));
    };
    let mut conversation = Conversation::from_json(messages.get())?;
    for (index, message) in conversation.messages.iter_mut().enumerate() {
        check_role(index, &message.role)?;
        if message.role == "developer" {
            "system".clone_into(&mut message.role);
        }
        // Names and tool calls, which this model's template does not use.
        message.extra.clear();
        message.media_options = message.media_options.or(options);
    }
    check(&conversation, app)?;
    Ok(conversation)
}

/// Checks the role of a message.
pub(crate) fn check_role(index: usize, role: &str) -> Result<(), ApiError> {
    if ROLES.contains(&role) {
        return Ok(());
    }
    Err(ApiError::param(&format!("messages[{index}].role"), format!("must be one of {}", ROLES.join(", "))))
}

/// Checks the media of a conversation against the policy, without opening anything.
pub(crate) fn check(conversation: &Conversation, app: &App) -> Result<(), ApiError> {
    app.config.media.check(conversation)?;
    if app.config.videos {
        return Ok(());
    }
    for (index, message) in conversation.messages.iter().enumerate() {
        let file =
            |content: &Content| matches!(content, Content::Video(video) if !matches!(video, VideoSource::Frames(_)));
        if let Some(item) = message.content.iter().position(file) {
            let param = format!("messages[{index}].content[{item}]");
            let problem =
                "is a video file; this server accepts videos only as a list of frames (\"video\": [image, ...])";
            return Err(ApiError::unsupported(&param, problem));
        }
    }
    Ok(())
}
