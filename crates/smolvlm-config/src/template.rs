//! Reading of chat templates from a checkpoint.

use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path};

use serde_json::{Value, json};

use crate::{
    Error,
    json::{self, Kind, Node, TEXT},
    text_file,
};

/// The name of the default template.
const DEFAULT: &str = "default";

/// Jinja chat templates.
#[derive(Default)]
pub(crate) struct Templates {
    pub default: Option<String>,
    pub named: BTreeMap<String, String>,
}

const TEMPLATES: Kind<Templates> = Kind {
    expected: "a string, or an object of strings",
    convert: |value| match value {
        Value::Object(map) => {
            let named: Option<BTreeMap<String, String>> =
                map.iter().map(|(name, template)| Some((name.clone(), (TEXT.convert)(template)?))).collect();
            Some(Templates::of(named?))
        }
        single => Some(Templates { default: Some((TEXT.convert)(single)?), named: BTreeMap::new() }),
    },
};

impl Templates {
    fn of(mut named: BTreeMap<String, String>) -> Self {
        Templates { default: named.remove(DEFAULT), named }
    }

    /// Reads the key `chat_template` of a document: one template or several by name.
    pub fn read(node: &Node<'_>) -> Result<Option<Self>, Error> {
        node.nullable("chat_template", TEMPLATES)
    }

    /// Reads the template files of a checkpoint directory.
    pub fn from_directory(dir: &Path) -> Result<Self, Error> {
        let named = named_files(&dir.join("chat_templates"))?;
        let legacy = dir.join("chat_template.json");
        if let Some(text) = text_file::read_optional(&legacy)? {
            if !named.is_empty() {
                return Err(Error::invalid(
                    legacy.display().to_string(),
                    "cannot be used together with the folder chat_templates; keep one of them",
                ));
            }
            let parsed = json::parse(&text, "chat_template.json").and_then(|value| {
                let templates = Self::read(&Node::root(&value, "chat_template.json")?)?;
                templates.ok_or_else(|| Error::invalid("chat_template", "is missing"))
            });
            return text_file::in_file(&legacy, parsed);
        }
        let mut templates = Self::of(named);
        if let Some(text) = text_file::read_optional(&dir.join("chat_template.jinja"))? {
            templates.default = Some(text);
        }
        Ok(templates)
    }

    /// The value of the key `chat_template`; `None` without templates.
    pub fn into_value(self) -> Option<Value> {
        let mut all = self.named;
        match self.default {
            Some(template) if all.is_empty() => return Some(json!(template)),
            Some(template) => {
                all.insert(DEFAULT.to_owned(), template);
            }
            None => {}
        }
        (!all.is_empty()).then(|| json!(all))
    }
}

/// Reads the templates of a folder by file name without `.jinja`; empty if the folder does not exist.
fn named_files(folder: &Path) -> Result<BTreeMap<String, String>, Error> {
    let failed = |source| Error::Read { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(BTreeMap::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let mut named = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_none_or(|extension| extension != "jinja") {
            continue;
        }
        if let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) {
            named.insert(name.to_owned(), text_file::read(&path)?);
        }
    }
    Ok(named)
}
