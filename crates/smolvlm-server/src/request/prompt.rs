//! The prompts of requests.

use crate::api_error::ApiError;
use crate::request::fields::Fields;
use crate::request::messages;
use crate::state::{App, Model};
use serde::Deserialize;
use smolvlm::processor::RenderOptions;
use smolvlm::{Conversation, Prompt};

/// Takes the messages of a chat request, and how they are rendered.
pub(crate) fn chat(fields: &mut Fields<'_>, app: &App) -> Result<(Conversation, RenderOptions), ApiError> {
    let answers = fields.flag("add_generation_prompt")?;
    let continues = fields.flag("continue_final_message")?.unwrap_or(false);
    let conversation = messages::parse(fields, app)?;
    if !continues {
        let options = if answers == Some(false) { RenderOptions::plain() } else { RenderOptions::answer() };
        return Ok((conversation, options));
    }
    let problem = if answers == Some(true) {
        "excludes add_generation_prompt; set that to false"
    } else if conversation.messages.last().is_none_or(|message| message.role != "assistant") {
        "needs a last message with the role assistant"
    } else {
        return Ok((conversation, RenderOptions::continue_final()));
    };
    Err(fields.invalid("continue_final_message", problem))
}

/// One or several texts or lists of token ids.
#[derive(Deserialize)]
#[serde(untagged)]
enum Raw {
    Text(String),
    Tokens(Vec<u32>),
    Texts(Vec<String>),
    TokenLists(Vec<Vec<u32>>),
}

/// Takes the prompts of a text completion, which the chat template does not change.
pub(crate) fn raw(fields: &mut Fields<'_>, model: &Model) -> Result<Vec<Prompt>, ApiError> {
    let prompts = match fields.require("prompt", "a string, a list of token ids, or a list of these")? {
        Raw::Text(text) => vec![Prompt::Text(text)],
        Raw::Tokens(ids) => vec![Prompt::Tokens(ids)],
        Raw::Texts(texts) => texts.into_iter().map(Prompt::Text).collect(),
        Raw::TokenLists(lists) => lists.into_iter().map(Prompt::Tokens).collect(),
    };
    let vocabulary = model.vocabulary();
    let ids = prompts.iter().filter_map(|prompt| if let Prompt::Tokens(ids) = prompt { Some(ids) } else { None });
    if let Some(id) = ids.flatten().find(|&&id| id as usize >= vocabulary) {
        return Err(fields.invalid("prompt", format!("has the token {id}; the model has {vocabulary} tokens")));
    }
    Ok(prompts)
}
