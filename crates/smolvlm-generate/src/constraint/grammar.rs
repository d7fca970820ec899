//! Constraints as grammars of llguidance.

use super::Constraint;
use crate::Error;
use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::print::Printer;
use serde_json::{Map, Value, json};

/// The options of JSON schemas.
const OPTIONS: &str = "x-guidance";

/// The grammar of a constraint. With `leading_space`, a space may precede the text.
pub(super) fn grammar(constraint: &Constraint, leading_space: bool) -> Result<TopLevelGrammar, Error> {
    let space = if leading_space { "\" \"? " } else { "" };
    match constraint {
        Constraint::JsonSchema(schema) => {
            let mut json = GrammarWithLexer::from_json_schema(with_options(schema)?);
            json.name = Some("json".to_owned());
            let start = GrammarWithLexer::from_lark(format!("start: {space}@json"));
            Ok(TopLevelGrammar { grammars: vec![start, json], max_tokens: None })
        }
        Constraint::Regex(regex) => {
            let space = if leading_space { " ?" } else { "" };
            let regex = without_anchors(regex);
            Ok(TopLevelGrammar::from_regex(&format!("{space}(?:{})", normalized(regex)?)))
        }
        Constraint::Lark(lark) => Ok(TopLevelGrammar::from_lark(lark.clone())),
        Constraint::Choices(choices) => {
            if choices.is_empty() {
                return Err(Error::constraint("has no choices; give at least one"));
            }
            if let Some(index) = choices.iter().position(String::is_empty) {
                return Err(Error::constraint(format!("has an empty choice at index {index}")));
            }
            // JSON does not escape the delete character, which grammars do not contain.
            let literal = |choice: &String| json!(choice).to_string().replace('\x7f', "\\u007f");
            let choices: Vec<String> = choices.iter().map(literal).collect();
            Ok(TopLevelGrammar::from_lark(format!("start: TEXT\nTEXT: {space}({})", choices.join(" | "))))
        }
    }
}

/// A schema whose JSON has no optional white space, of which small models generate endless runs.
fn with_options(schema: &Value) -> Result<Value, Error> {
    let mut schema = match schema {
        Value::Object(schema) => schema.clone(),
        Value::Bool(true) => Map::new(),
        Value::Bool(false) => return Err(Error::constraint("allows no text: its schema is false")),
        _ => return Err(Error::constraint("is not a JSON schema, which is an object or a boolean")),
    };
    let mut options = json!({"whitespace_flexible": false, "item_separator": ", ", "key_separator": ": "});
    match schema.remove(OPTIONS) {
        None => {}
        Some(Value::Object(given)) => given.into_iter().for_each(|(key, value)| options[key] = value),
        Some(_) => return Err(Error::constraint("has a key x-guidance that is not an object")),
    }
    schema.insert(OPTIONS.to_owned(), options);
    Ok(Value::Object(schema))
}

/// A regular expression without the white space and comments of its verbose mode, which do not survive in a grammar.
fn normalized(regex: &str) -> Result<String, Error> {
    const MAX_CHARS: usize = 100;
    let ast = Parser::new().parse(regex).map_err(|error| {
        let quoted: String = regex.chars().take(MAX_CHARS).collect();
        let column = error.span().start.column;
        Error::constraint(format!("is not a regular expression: {quoted:?}: {} at column {column}", error.kind()))
    })?;
    let mut text = String::with_capacity(regex.len());
    // Strings take any text.
    let _ = Printer::new().print(&ast, &mut text);
    Ok(text)
}

/// A regular expression without anchors at its ends: it matches as a whole anyway.
fn without_anchors(regex: &str) -> &str {
    let regex = regex.strip_prefix('^').unwrap_or(regex);
    match regex.strip_suffix('$') {
        Some(rest) if rest.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 0 => rest,
        _ => regex,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_at_the_ends_are_removed() {
        for (regex, expected) in
            [("^a$", "a"), (r"a\$", r"a\$"), (r"^a\\$", r"a\\"), ("a|b", "a|b"), ("$", ""), ("", "")]
        {
            assert_eq!(without_anchors(regex), expected);
        }
    }

    #[test]
    fn expressions_are_parsed_alone() {
        assert_eq!(normalized("(?x)a b # c").unwrap(), "(?x)ab");
        assert_eq!(normalized("(?x: a\n[b c] # d\n\\ )e f").unwrap(), "(?x:a[bc]\\ )e f");
        for regex in [r"a b\\[^\]x]{1,4}?\$|\x41\u{E9}\p{L}\d(?i:ä)*", "", "a\n#", "(?P<n>a)|[[:alpha:]--[x-z]]"] {
            assert_eq!(normalized(regex).unwrap(), regex);
        }
        for regex in ["a)(b", "(a", r"(a)\1", "a{2,1}", "*"] {
            assert!(normalized(regex).unwrap_err().to_string().contains(&format!("{regex:?}")), "{regex}");
        }
    }

    #[test]
    fn options_of_the_schema_take_precedence() {
        let schema = with_options(&json!({"type": "object", "x-guidance": {"item_separator": ","}})).unwrap();
        assert_eq!(schema["x-guidance"]["item_separator"], ",");
        assert_eq!(schema["x-guidance"]["whitespace_flexible"], false);
        assert!(with_options(&json!({"x-guidance": 1})).is_err());
        assert!(with_options(&json!(1)).is_err());
    }
}
