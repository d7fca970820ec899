//! The tokenizer of a checkpoint and its special tokens.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::panic;
use std::path::Path;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use tokenizers::Tokenizer;

use crate::error::{Error, readable};

/// Special tokens by their names in `tokenizer_config.json` (`bos_token`, `image_token`, ...).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens(BTreeMap<String, String>);

impl SpecialTokens {
    /// The special tokens of the released checkpoints.
    pub fn released() -> Self {
        [
            ("bos_token", "<|im_start|>"),
            ("eos_token", "<end_of_utterance>"),
            ("pad_token", "<|im_end|>"),
            ("unk_token", "<|endoftext|>"),
            ("end_of_utterance_token", "<end_of_utterance>"),
            ("fake_image_token", "<fake_token_around_image>"),
            ("global_image_token", "<global-img>"),
            ("image_token", "<image>"),
        ]
        .into_iter()
        .collect()
    }

    /// Keeps only those that are in the tokenizer's vocabulary.
    #[must_use]
    pub fn known_to(mut self, tokenizer: &Tokenizer) -> Self {
        self.0.retain(|_, token| tokenizer.token_to_id(token).is_some());
        self
    }

    /// The token with the given name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Iterates over all names and tokens, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, token)| (name.as_str(), token.as_str()))
    }

    /// Placeholder of an image in a rendered prompt and of one visual feature in an expanded one.
    pub fn image(&self) -> &str {
        self.get("image_token").unwrap_or("<image>")
    }

    /// Placeholder of a video in a rendered prompt.
    pub fn video(&self) -> &str {
        self.get("video_token").unwrap_or("<video>")
    }

    /// Token before and after the tokens of a tile.
    pub fn fake_image(&self) -> &str {
        self.get("fake_image_token").unwrap_or("<fake_token_around_image>")
    }

    /// Token that marks the global tile, which shows the whole image.
    pub fn global_image(&self) -> &str {
        self.get("global_image_token").unwrap_or("<global-img>")
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for SpecialTokens {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, token)| (name.into(), token.into())).collect())
    }
}

/// The tokenizer files of a checkpoint directory.
pub(crate) struct TokenizerFiles {
    pub tokenizer: Tokenizer,
    pub special: SpecialTokens,
    /// The chat template of `tokenizer_config.json`, which is used if there is none elsewhere.
    pub chat_template: Option<String>,
}

impl TokenizerFiles {
    /// Reads `tokenizer.json` and, if they exist, `tokenizer_config.json` and `special_tokens_map.json`; each file may
    /// have at most `max_bytes`.
    pub fn read(dir: &Path, max_bytes: u64) -> Result<Self, Error> {
        let path = dir.join("tokenizer.json");
        let bytes = read_capped(&path, max_bytes)?;
        let tokenizer = parse_tokenizer(&bytes).map_err(|message| Error::File { path, message })?;
        let config = read_object(&dir.join("tokenizer_config.json"), max_bytes)?;
        let map = read_object(&dir.join("special_tokens_map.json"), max_bytes)?;
        let special = match &config {
            Some(config) => special_tokens(config, map.as_ref()),
            None => match &map {
                Some(map) => special_tokens(&Map::new(), Some(map)),
                None => SpecialTokens::released().known_to(&tokenizer),
            },
        };
        let chat_template = config.as_ref().and_then(chat_template);
        Ok(Self { tokenizer, special, chat_template })
    }
}

/// Parses the text of a `tokenizer.json`. Truncation and padding configured in it are switched off, as in the
/// reference.
///
/// # Errors
/// [`Error::Tokenizer`] for an invalid tokenizer.
pub fn tokenizer_from_json(text: &str) -> Result<Tokenizer, Error> {
    parse_tokenizer(text.as_bytes()).map_err(|message| Error::Tokenizer { message })
}

fn parse_tokenizer(bytes: &[u8]) -> Result<Tokenizer, String> {
    let bytes = after_byte_order_mark(bytes);
    serde_json::from_slice::<IgnoredAny>(bytes).map_err(|error| readable(&error.to_string()))?;
    // The library panics on some invalid tokenizer files (0.23.2, normalizers/mod.rs, `expect`).
    let tokenizer = panic::catch_unwind(|| Tokenizer::from_bytes(bytes));
    let mut tokenizer = tokenizer.map_err(|_| "not a tokenizer")?.map_err(|error| readable(&error.to_string()))?;
    tokenizer.with_truncation(None).map_err(|error| readable(&error.to_string()))?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

/// Writes `tokenizer.json` and `tokenizer_config.json`.
pub(crate) fn write_files(
    dir: &Path,
    tokenizer: &Tokenizer,
    special: &SpecialTokens,
    template: Option<&str>,
) -> Result<(), Error> {
    let write = |name: &str, text: String| {
        let path = dir.join(name);
        fs::write(&path, text).map_err(|source| Error::Io { path, source })
    };
    let tokenizer = tokenizer.to_string(false).map_err(Error::tokenizer)?;
    let mut config: Map<String, Value> = special.iter().map(|(name, token)| (name.to_owned(), token.into())).collect();
    config.insert("clean_up_tokenization_spaces".to_owned(), false.into());
    if let Some(template) = template {
        config.insert("chat_template".to_owned(), template.into());
    }
    write("tokenizer.json", tokenizer)?;
    write("tokenizer_config.json", format!("{:#}\n", Value::Object(config)))
}

/// Collects named tokens as transformers 5.24.0 does (tokenization_utils_base.py, `_from_pretrained`): every `*_token`
/// key, the entries of a dict `extra_special_tokens`, and, without `added_tokens_decoder`, those of the map file.
fn special_tokens(config: &Map<String, Value>, map: Option<&Map<String, Value>>) -> SpecialTokens {
    let mut named = BTreeMap::new();
    let legacy_map = map.filter(|_| !config.contains_key("added_tokens_decoder"));
    for object in std::iter::once(config).chain(legacy_map) {
        for nested in ["model_specific_special_tokens", "extra_special_tokens"] {
            if let Some(Value::Object(extra)) = object.get(nested) {
                collect_tokens(extra, &mut named);
            }
        }
        collect_tokens(object, &mut named);
    }
    SpecialTokens(named)
}

fn collect_tokens(object: &Map<String, Value>, named: &mut BTreeMap<String, String>) {
    for (name, value) in object.iter().filter(|(name, _)| name.ends_with("_token")) {
        // Either the string itself or a serialized AddedToken.
        let token = match value {
            Value::Object(added) => added.get("content").and_then(Value::as_str),
            other => other.as_str(),
        };
        if let Some(token) = token.filter(|token| !token.is_empty()) {
            named.insert(name.clone(), token.to_owned());
        }
    }
}

/// The chat template, or the one named `default` if there are several.
fn chat_template(config: &Map<String, Value>) -> Option<String> {
    let template = match config.get("chat_template")? {
        Value::Array(named) => {
            named.iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"))?.get("template")?
        }
        other => other,
    };
    template.as_str().map(str::to_owned)
}

fn read_object(path: &Path, max_bytes: u64) -> Result<Option<Map<String, Value>>, Error> {
    let bytes = match read_capped(path, max_bytes) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    serde_json::from_slice(after_byte_order_mark(&bytes))
        .map(Some)
        .map_err(|error| Error::File { path: path.to_owned(), message: error.to_string() })
}

fn after_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes)
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read_capped(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let io_error = |source| Error::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io_error)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(io_error)?;
    if bytes.len() as u64 > limit {
        return Err(Error::TooLarge { what: path.display().to_string(), limit });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn special_tokens_are_read_from_all_three_notations() {
        let config = object(json!({
            "bos_token": "<s>", "eos_token": {"content": "</s>", "special": true}, "pad_token": null,
            "extra_special_tokens": {"image_token": "<img>"}, "image_token_id": 7, "added_tokens_decoder": {},
        }));
        let map = object(json!({"bos_token": "<ignored>"}));
        let special = special_tokens(&config, Some(&map));
        let found: Vec<_> = special.iter().collect();
        assert_eq!(found, [("bos_token", "<s>"), ("eos_token", "</s>"), ("image_token", "<img>")]);
        assert_eq!((special.image(), special.global_image()), ("<img>", "<global-img>"));
    }

    #[test]
    fn map_file_takes_precedence_in_old_checkpoints() {
        let config = object(json!({"bos_token": "<s>", "unk_token": "<unk>"}));
        let map = object(json!({"bos_token": {"content": "<b>"}}));
        let special = special_tokens(&config, Some(&map));
        assert_eq!((special.get("bos_token"), special.get("unk_token")), (Some("<b>"), Some("<unk>")));
    }

    #[test]
    fn default_template_is_found_in_a_list() {
        let list = json!({"chat_template": [{"name": "rag", "template": "a"}, {"name": "default", "template": "b"}]});
        assert_eq!(chat_template(&object(list)).as_deref(), Some("b"));
        assert_eq!(chat_template(&object(json!({"chat_template": "c"}))).as_deref(), Some("c"));
        assert_eq!(chat_template(&object(json!({"chat_template": [1]}))), None);
    }
}
