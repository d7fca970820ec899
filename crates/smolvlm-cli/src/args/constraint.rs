//! Arguments that say what an answer must match.

use crate::failure::Failure;
use clap::Args;
use serde_json::Value;
use smolvlm::Constraint;
use std::path::{Path, PathBuf};

/// What an answer must match. At most one of them is given.
#[derive(Debug, Args)]
#[command(next_help_heading = "Answer")]
#[group(multiple = false)]
pub struct ConstraintArgs {
    /// Answer in JSON that is valid for the JSON schema in this file
    #[arg(long, value_name = "FILE")]
    pub json_schema: Option<PathBuf>,
    /// Answer with a text that matches this regular expression as a whole
    #[arg(long, value_name = "REGEX")]
    pub regex: Option<String>,
    /// Answer with a text of the grammar in this file, in llguidance's Lark syntax
    #[arg(long, value_name = "FILE")]
    pub lark: Option<PathBuf>,
    /// Answer with one of these texts, separated by commas; repeatable
    #[arg(long, value_name = "TEXT,...", value_delimiter = ',')]
    pub choices: Vec<String>,
    /// Answer in well-formed DocTags, without key-value regions
    #[arg(long)]
    pub doctags: bool,
}

impl ConstraintArgs {
    /// The constraint, whose files are read. `is_token` tells whether a text is a special token of the model.
    pub fn constraint(&self, is_token: impl Fn(&str) -> bool) -> Result<Option<Constraint>, Failure> {
        if let Some(path) = &self.json_schema {
            let invalid = |message: String| Failure::Schema { path: path.clone(), message };
            let schema: Value = serde_json::from_str(&read(path)?).map_err(|error| invalid(error.to_string()))?;
            return match schema {
                Value::Object(_) | Value::Bool(_) => Ok(Some(Constraint::JsonSchema(schema))),
                _ => Err(invalid("it must be an object, true or false".to_owned())),
            };
        }
        if let Some(path) = &self.lark {
            return Ok(Some(Constraint::Lark(read(path)?)));
        }
        if self.doctags {
            return Ok(Some(Constraint::Lark(format!("%llguidance {{}}\n{}", smolvlm_doctags::grammar(is_token)))));
        }
        let choices = (!self.choices.is_empty()).then(|| Constraint::choices(&self.choices));
        Ok(self.regex.clone().map(Constraint::Regex).or(choices))
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|source| Failure::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use crate::args::{Cli, Command};
    use clap::Parser;
    use smolvlm::Constraint;

    fn constraint(flags: &[&str]) -> Result<Option<Constraint>, String> {
        let arguments = [&["smolvlm", "chat"], flags].concat();
        let cli = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?;
        let Command::Chat(chat) = cli.command else { panic!("not chat") };
        chat.sampling.constraint.constraint(|tag| tag == "<text>").map_err(|failure| failure.to_string())
    }

    #[test]
    fn constraints_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        assert_eq!(constraint(&[]), Ok(None));
        assert_eq!(constraint(&["--regex", "a,b"]), Ok(Some(Constraint::Regex("a,b".to_owned()))));
        assert_eq!(
            constraint(&["--choices", "a,b c", "--choices", "d"]),
            Ok(Some(Constraint::choices(["a", "b c", "d"])))
        );
        let (schema, lark) = (file("a.json", r#"{"type": "object"}"#), file("a.lark", "start: \"a\""));
        assert_eq!(constraint(&["--json-schema", &schema]), Ok(Some(Constraint::json_object())));
        assert_eq!(constraint(&["--lark", &lark]), Ok(Some(Constraint::Lark("start: \"a\"".to_owned()))));
        assert!(constraint(&["--json-schema", &lark]).unwrap_err().contains("a.lark: --json-schema: "));
        let number = file("seven.json", "7");
        let error = constraint(&["--json-schema", &number]).unwrap_err();
        assert!(error.contains("seven.json: --json-schema: it must be an object"), "{error}");
        assert!(constraint(&["--lark", "missing"]).unwrap_err().contains("missing"));
        let Ok(Some(Constraint::Lark(doctags))) = constraint(&["--doctags"]) else { panic!("no grammar") };
        assert!(doctags.contains("doctag"), "{doctags}");
        assert!(constraint(&["--regex", "a", "--lark", &lark]).unwrap_err().contains("cannot be used with"));
    }
}
