//! Prompt templates with values of columns.

use super::cell::Cell;
use std::str::FromStr;

/// A prompt with placeholders.
#[derive(Debug, Clone, PartialEq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Column(String),
}

impl Template {
    /// The columns that it needs.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Column(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text with the values of a row.
    ///
    /// # Errors
    ///
    /// A column that is missing, null, or not text.
    pub fn render(&self, columns: &[(String, Cell)]) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text += part,
                Part::Column(name) => {
                    let (_, cell) = columns
                        .iter()
                        .find(|(other, _)| other == name)
                        .ok_or_else(|| format!("there is no column '{name}' for the prompt"))?;
                    text += &value(cell).ok_or_else(|| format!("column '{name}' of the prompt is {}", cell.kind()))?;
                }
            }
        }
        Ok(text)
    }
}

/// A value as text; none for null and for bytes that are not UTF-8.
fn value(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Null => None,
        Cell::Text(text) => Some(text.clone()),
        Cell::Bytes(bytes) => String::from_utf8(bytes.clone()).ok(),
        cell => Some(cell.clone().into_json().to_string()),
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let (mut literal, mut rest) = (String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (head, tail) = rest.split_at(at);
            literal += head;
            if let Some(after) = tail.strip_prefix("{{").or_else(|| tail.strip_prefix("}}")) {
                literal.extend(tail.chars().next());
                rest = after;
                continue;
            }
            let column = tail.strip_prefix('{').and_then(|tail| tail.split_once('}'));
            match column.filter(|(name, _)| !name.is_empty() && !name.contains('{')) {
                Some((name, after)) => {
                    parts.extend([Part::Text(std::mem::take(&mut literal)), Part::Column(name.to_owned())]);
                    rest = after;
                }
                None => return Err("braces enclose the name of a column; write {{ and }} for braces".to_owned()),
            }
        }
        literal += rest;
        parts.push(Part::Text(literal));
        Ok(Self(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::Template;
    use crate::commands::batch::cell::Cell;
    use serde_json::json;

    #[test]
    fn placeholders_are_replaced_by_values() {
        let Cell::Struct(columns) = Cell::from(json!({"a": "x{b}", "b c": 2, "l": [1], "n": null})) else { panic!() };
        let render = |text: &str| text.parse::<Template>().unwrap().render(&columns);
        assert_eq!(render("").as_deref(), Ok(""));
        assert_eq!(render("{a} and {b c}, {{a}} {l}!").as_deref(), Ok("x{b} and 2, {a} [1]!"));
        assert_eq!(render("é{{}}é").as_deref(), Ok("é{}é"));
        assert!(render("{z}").unwrap_err().contains("'z'"));
        assert!(render("{n}").unwrap_err().contains("null"));
    }

    #[test]
    fn invalid_braces_are_errors() {
        for text in ["{", "}", "{a", "a}", "{}", "{a{b}}", "{{}", "{\"a\": {1}}"] {
            assert!(text.parse::<Template>().is_err(), "{text}");
        }
    }

    #[test]
    fn columns_are_listed() {
        let template: Template = "{a} {{b}} {c}".parse().unwrap();
        assert_eq!(template.columns().collect::<Vec<_>>(), ["a", "c"]);
    }
}
