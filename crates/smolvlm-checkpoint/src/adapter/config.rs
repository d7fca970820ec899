//! The configuration of an adapter, `adapter_config.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fancy_regex::Regex;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use smolvlm_config::read_text;

use crate::error::Error;
use crate::header::readable;

/// Name of the configuration file of an adapter folder.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";

/// Maximum size of the configuration in bytes. PEFT writes 2 kB, or more with a list of all modules.
const MAX_CONFIG: u64 = 1 << 20;

/// Maximum number of patterns in a table: each is compared with each module.
const MAX_PATTERNS: usize = 4096;

/// Default of both rank and alpha (PEFT 0.21.2, `LoraConfig`).
const DEFAULT: usize = 8;

/// Options that do not affect the output of a trained adapter: the weight file shows which modules have matrices, and
/// the other options concern training and initialization. `fan_in_fan_out` is for layers that store their matrix
/// transposed; PEFT ignores it for linear layers, and SmolVLM has no others.
const WITHOUT_EFFECT: [&str; 21] = [
    "auto_mapping",
    "corda_config",
    "eva_config",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_bias",
    "lora_dropout",
    "lora_ga_config",
    "megatron_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "runtime_config",
    "target_modules",
    "task_type",
    "bias",
    // The commit of PEFT that wrote the file.
    "peft_commit",
];

/// Initializations that do not change the weights of the base model.
const KEEPS_BASE: [&str; 3] = ["gaussian", "eva", "orthogonal"];

/// The configuration of a LoRA adapter, `adapter_config.json`.
///
/// Unsupported options that affect the output are errors that name the option.
#[derive(Debug, Clone)]
pub struct PeftConfig {
    path: PathBuf,
    raw: RawConfig,
    ranks: Patterns,
    alphas: Patterns,
}

#[derive(Debug, Clone, Deserialize)]
struct RawConfig {
    peft_type: Option<String>,
    base_model_name_or_path: Option<String>,
    revision: Option<String>,
    r: Option<usize>,
    lora_alpha: Option<f64>,
    use_rslora: Option<bool>,
    init_lora_weights: Option<Value>,
    modules_to_save: Option<Vec<String>>,
    rank_pattern: Option<Pairs>,
    alpha_pattern: Option<Pairs>,
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

impl PeftConfig {
    /// Reads the configuration in an adapter folder.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] for a file that cannot be read, [`Error::Adapter`] for one that is missing, is not a LoRA
    /// configuration or uses unsupported options.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(ADAPTER_CONFIG);
        let text = read_text(&path, MAX_CONFIG).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                let message = format!(
                    "contains no {ADAPTER_CONFIG}; an adapter is a folder written by PEFT or `smolvlm train --lora`"
                );
                Error::Adapter { path: folder.to_owned(), message }
            }
            _ => Error::io(&path, error),
        })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: PathBuf) -> Result<Self, Error> {
        let wrong = |message: String| Error::Adapter { path: path.clone(), message };
        let raw: RawConfig = serde_json::from_str(text)
            .map_err(|error| wrong(format!("not a PEFT configuration: {}", readable(&error.to_string()))))?;
        if let Some(what) = raw.unsupported() {
            return Err(wrong(format!(
                "{what} is not supported; merge the adapter with PEFT (merge_and_unload) and load the merged model"
            )));
        }
        let alpha = raw.lora_alpha.unwrap_or_default();
        if !alpha.is_finite() {
            return Err(wrong(format!("lora_alpha is {alpha}")));
        }
        let ranks = Patterns::new("rank_pattern", raw.rank_pattern.as_ref()).map_err(wrong)?;
        let alphas = Patterns::new("alpha_pattern", raw.alpha_pattern.as_ref()).map_err(wrong)?;
        Ok(Self { raw, ranks, alphas, path })
    }

    /// The base model that the adapter was trained on: a folder or a hub repository.
    pub fn base_model(&self) -> Option<&str> {
        self.raw.base_model_name_or_path.as_deref().filter(|name| !name.is_empty())
    }

    /// Branch, tag or commit of the base model on the hub.
    pub fn base_revision(&self) -> Option<&str> {
        self.raw.revision.as_deref().filter(|name| !name.is_empty())
    }

    /// Name suffixes of the modules that the adapter replaces as a whole.
    pub(super) fn modules_to_save(&self) -> &[String] {
        self.raw.modules_to_save.as_deref().unwrap_or_default()
    }

    /// The rank that a module's matrices must have.
    pub(super) fn rank(&self, module: &str) -> Result<f64, Error> {
        let rank = self.ranks.find(module).map_err(|message| self.wrong(message))?;
        Ok(rank.unwrap_or_else(|| self.raw.r.unwrap_or(DEFAULT) as f64))
    }

    /// The scale of a module's low-rank product.
    pub(super) fn scale(&self, module: &str, rank: usize) -> Result<f64, Error> {
        let alpha = self.alphas.find(module).map_err(|message| self.wrong(message))?;
        let alpha = alpha.unwrap_or_else(|| self.raw.lora_alpha.unwrap_or(DEFAULT as f64));
        let divisor = if self.raw.use_rslora == Some(true) { (rank as f64).sqrt() } else { rank as f64 };
        Ok(alpha / divisor)
    }

    fn wrong(&self, message: String) -> Error {
        Error::Adapter { path: self.path.clone(), message }
    }
}

impl RawConfig {
    /// The unsupported feature that this file uses, if any. Unknown options that are set, such as those of other PEFT
    /// releases, count as unsupported.
    fn unsupported(&self) -> Option<String> {
        match self.peft_type.as_deref() {
            Some("LORA") => {}
            Some(other) => return Some(format!("peft_type {}", readable(other))),
            None => return Some("a file without peft_type".to_owned()),
        }
        match &self.init_lora_weights {
            None | Some(Value::Null | Value::Bool(_)) => {}
            Some(Value::String(name)) if KEEPS_BASE.contains(&name.to_lowercase().as_str()) => {}
            Some(other) => {
                let name = readable(&other.to_string());
                return Some(format!("init_lora_weights {name}, which changes the base model's weights,"));
            }
        }
        let is_set = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Object(map) => !map.is_empty(),
            Value::Array(list) => !list.is_empty(),
            _ => true,
        };
        let used = self.other.iter().find(|(key, value)| is_set(value) && !WITHOUT_EFFECT.contains(&key.as_str()));
        used.map(|(key, _)| readable(key))
    }
}

/// Values by pattern of module names; the first match applies (PEFT 0.21.2, `get_pattern_key`).
#[derive(Debug, Clone)]
struct Patterns(Vec<(Regex, f64)>);

impl Patterns {
    fn new(key: &str, pairs: Option<&Pairs>) -> Result<Self, String> {
        let pairs = pairs.map(|pairs| pairs.0.as_slice()).unwrap_or_default();
        if pairs.len() > MAX_PATTERNS {
            return Err(format!("{key} has {} entries; the limit is {MAX_PATTERNS}", pairs.len()));
        }
        let compiled = pairs.iter().map(|(pattern, value)| {
            let regex = Regex::new(&format!(r"^(?:.*\.)?(?:{pattern})$"));
            let regex =
                regex.map_err(|_| format!("{key} {:?} is not a supported regular expression", readable(pattern)))?;
            if value.is_finite() { Ok((regex, *value)) } else { Err(format!("{key} contains {value}")) }
        });
        compiled.collect::<Result<_, String>>().map(Self)
    }

    fn find(&self, module: &str) -> Result<Option<f64>, String> {
        for (regex, value) in &self.0 {
            if regex.is_match(module).map_err(|error| format!("pattern {regex}: {error}"))? {
                return Ok(Some(*value));
            }
        }
        Ok(None)
    }
}

/// The entries of a JSON object in file order.
#[derive(Debug, Clone)]
struct Pairs(Vec<(String, f64)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    pairs.push(entry);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(fields: &str) -> Result<PeftConfig, Error> {
        let separator = if fields.is_empty() { "" } else { "," };
        PeftConfig::parse(&format!(r#"{{"peft_type": "LORA"{separator}{fields}}}"#), PathBuf::from("c"))
    }

    fn refused(fields: &str) -> String {
        parse(fields).unwrap_err().to_string()
    }

    #[test]
    fn first_matching_pattern_applies() {
        let config = parse(
            r#""r": 4, "lora_alpha": 8, "rank_pattern": {"z.q_proj": 2, "q_proj": 6},
               "alpha_pattern": {"^model.b.q_proj": 1, "layers\\.[01]\\..*proj": 3}"#,
        );
        let config = config.unwrap();
        let of = |module| (config.rank(module).unwrap(), config.scale(module, 1).unwrap());
        assert_eq!(of("a.z.q_proj"), (2.0, 8.0));
        assert_eq!(of("zz.q_proj"), (6.0, 8.0));
        assert_eq!(of("model.b.q_proj"), (6.0, 1.0));
        assert_eq!(of("x.model.b.q_proj"), (6.0, 8.0));
        assert_eq!(of("m.layers.1.mlp.up_proj"), (4.0, 3.0));
        assert_eq!(of("m.layers.2.mlp.up_proj"), (4.0, 8.0));
        assert_eq!(config.scale("v_proj", 4).unwrap(), 2.0);
    }

    #[test]
    fn rslora_scales_by_the_square_root_of_the_rank() {
        let config = parse(r#""lora_alpha": 8, "use_rslora": true"#).unwrap();
        assert_eq!(config.scale("q_proj", 4).unwrap(), 4.0);
        assert_eq!(parse("").unwrap().scale("q_proj", 4).unwrap(), 2.0);
    }

    #[test]
    fn unsupported_options_are_errors_that_name_them() {
        for (fields, name) in [
            (r#""use_dora": true"#, "use_dora"),
            (r#""layer_replication": [[0, 4]]"#, "layer_replication"),
            (r#""trainable_token_indices": {"embed_tokens": [1]}"#, "trainable_token_indices"),
            (r#""target_parameters": ["experts.w"]"#, "target_parameters"),
            (r#""alora_invocation_tokens": [1]"#, "alora_invocation_tokens"),
            (r#""ensure_weight_tying": true"#, "ensure_weight_tying"),
            (r#""init_lora_weights": "pissa_niter_4""#, "init_lora_weights"),
            (r#""something_new": {"a": 1}"#, "something_new"),
        ] {
            let message = refused(fields);
            assert!(message.contains(name) && message.contains("merge_and_unload"), "{message}");
        }
        let other = PeftConfig::parse(r#"{"peft_type": "LOHA"}"#, PathBuf::from("c")).unwrap_err().to_string();
        assert!(other.contains("peft_type LOHA"), "{other}");
        parse(r#""use_dora": false, "layer_replication": null, "loftq_config": {}, "init_lora_weights": "gaussian""#)
            .unwrap();
    }

    #[test]
    fn invalid_files_are_errors() {
        let many: Vec<String> = (0..=MAX_PATTERNS).map(|number| format!(r#""m{number}": 1"#)).collect();
        for fields in [
            r#""r": -1"#.to_owned(),
            r#""r": "8""#.to_owned(),
            r#""lora_alpha": 1e999"#.to_owned(),
            r#""alpha_pattern": {"(": 1}"#.to_owned(),
            r#""alpha_pattern": {"a": "b"}"#.to_owned(),
            r#""rank_pattern": [1]"#.to_owned(),
            format!(r#""rank_pattern": {{{}}}"#, many.join(",")),
        ] {
            assert!(matches!(parse(&fields), Err(Error::Adapter { .. })), "{fields:.60}");
        }
        for text in ["", "[]", "null", r#"{"peft_type": 1}"#] {
            assert!(matches!(PeftConfig::parse(text, PathBuf::new()), Err(Error::Adapter { .. })), "{text}");
        }
    }
}
