//! Values of a data set.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};

/// A value of a data set: JSON with bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    #[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "only Parquet has bytes"))]
    Bytes(Vec<u8>),
    List(Vec<Cell>),
    Struct(Vec<(String, Cell)>),
}

impl Cell {
    /// The value as JSON, with bytes in base64.
    pub fn into_json(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => value.into(),
            Self::Number(number) => number.into(),
            Self::Text(text) => text.into(),
            Self::Bytes(bytes) => STANDARD.encode(bytes).into(),
            Self::List(cells) => cells.into_iter().map(Self::into_json).collect(),
            Self::Struct(fields) => {
                let fields = fields.into_iter().map(|(name, cell)| (name, cell.into_json()));
                Value::Object(fields.collect::<Map<String, Value>>())
            }
        }
    }

    /// The kind of the value, for errors.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "a list",
            Self::Struct(_) => "an object",
        }
    }
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(text),
            Value::Array(values) => Self::List(values.into_iter().map(Self::from).collect()),
            Value::Object(fields) => {
                Self::Struct(fields.into_iter().map(|(name, value)| (name, value.into())).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cell;
    use serde_json::json;

    #[test]
    fn json_is_unchanged_and_bytes_become_base64() {
        let value = json!({"a": [null, true, 1.5, "x"], "b": {"c": 7}});
        assert_eq!(Cell::from(value.clone()).into_json(), value);
        assert_eq!(Cell::List(vec![Cell::Bytes(vec![0, 255])]).into_json(), json!(["AP8="]));
    }
}
