//! Tokenization of prompts that contain user-typed control tokens.

use tokenizers::{
    Encoding, Model, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    Token, Tokenizer,
};

use crate::error::Error;
use crate::prompt::Piece;

/// Tokenizes the pieces of a prompt separately and concatenates the ids.
///
/// # Errors
/// [`Error::Tokenizer`], also if a user-typed control token is encoded to its token id even as plain characters.
pub(crate) fn encode_pieces(tokenizer: &Tokenizer, pieces: &[Piece], add_special: bool) -> Result<Vec<u32>, Error> {
    let mut ids = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Text(text) if text.is_empty() => {}
            Piece::Text(text) if index == 0 => ids.extend(encode_text(tokenizer, text)?),
            Piece::Text(text) => ids.extend(after_line_break(tokenizer, encode_text, text)?),
            Piece::Typed(token) => {
                let typed = encode_continuation(tokenizer, token)?;
                if tokenizer.token_to_id(token).is_some_and(|id| typed.contains(&id)) {
                    let message = format!("{token:?} is encoded as a control token even as plain text");
                    return Err(Error::Tokenizer { message });
                }
                ids.extend(typed);
            }
        }
    }
    if !add_special {
        return Ok(ids);
    }
    let token = |id| Token::new(id, tokenizer.id_to_token(id).unwrap_or_default(), (0, 0));
    let encoding = Encoding::from_tokens(ids.into_iter().map(token).collect(), 0);
    Ok(tokenizer.post_process(encoding, None, true).map_err(Error::tokenizer)?.get_ids().to_vec())
}

/// Tokenizes a text that continues another one, without recognizing added tokens.
pub(crate) fn encode_continuation(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, Error> {
    after_line_break(tokenizer, encode_characters, text)
}

/// Encodes a text with a leading newline, whose tokens are then removed: some tokenizers prepend a space to the first
/// word of a text.
fn after_line_break(
    tokenizer: &Tokenizer,
    encode: fn(&Tokenizer, &str) -> Result<Vec<u32>, Error>,
    text: &str,
) -> Result<Vec<u32>, Error> {
    let ids = encode(tokenizer, &format!("\n{text}"))?;
    match ids.strip_prefix(encode_text(tokenizer, "\n")?.as_slice()) {
        Some(rest) => Ok(rest.to_vec()),
        None => encode(tokenizer, text),
    }
}

fn encode_text(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, Error> {
    Ok(tokenizer.encode_fast(text, false).map_err(Error::tokenizer)?.get_ids().to_vec())
}

/// Tokenizes a text without recognizing added tokens.
fn encode_characters(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, Error> {
    let mut text = NormalizedString::from(text);
    if let Some(normalizer) = tokenizer.get_normalizer() {
        normalizer.normalize(&mut text).map_err(Error::tokenizer)?;
    }
    let mut words = PreTokenizedString::from(text.get());
    if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
        pre_tokenizer.pre_tokenize(&mut words).map_err(Error::tokenizer)?;
    }
    let mut ids = Vec::new();
    for (word, ..) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
        ids.extend(tokenizer.get_model().tokenize(word).map_err(Error::tokenizer)?.iter().map(|token| token.id));
    }
    Ok(ids)
}
