//! Typed access to JSON objects with key paths in errors.

use serde_json::{Map, Value};

use crate::{Error, text_file::without_byte_order_mark};

/// Conversion of a JSON value to a Rust value, and the expectation stated in errors.
pub(crate) struct Kind<T> {
    pub expected: &'static str,
    pub convert: fn(&Value) -> Option<T>,
}

pub(crate) const FLAG: Kind<bool> = Kind { expected: "true or false", convert: Value::as_bool };

pub(crate) const COUNT: Kind<usize> = Kind {
    expected: "an integer from 0 to 2147483647",
    convert: |value| Some(i32::try_from(value.as_u64()?).ok()? as usize),
};

pub(crate) const EDGE: Kind<u32> = Kind {
    expected: "an integer from 1 to 2147483647",
    convert: |value| u32::try_from(i32::try_from(value.as_u64()?).ok()?).ok().filter(|&edge| edge > 0),
};

/// Any JSON number: files do not distinguish 1 from 1.0.
pub(crate) const NUMBER: Kind<f64> =
    Kind { expected: "a number", convert: |value| value.as_f64().filter(|number| number.is_finite()) };

pub(crate) const TEXT: Kind<String> = Kind { expected: "a string", convert: |value| value.as_str().map(str::to_owned) };

pub(crate) const TOKEN: Kind<u32> = Kind {
    expected: "a token id (an integer from 0 to 4294967295)",
    convert: |value| u32::try_from(value.as_u64()?).ok(),
};

/// An optional special token: negative ids are an old notation for "none".
pub(crate) const SPECIAL_TOKEN: Kind<Option<u32>> = Kind {
    expected: TOKEN.expected,
    convert: |value| match value.as_i64() {
        Some(id) if id < 0 => Some(None),
        _ => (TOKEN.convert)(value).map(Some),
    },
};

/// One token id or a list of them; negative ids are omitted.
pub(crate) const SPECIAL_TOKENS: Kind<Vec<u32>> = Kind {
    expected: "a token id or a list of token ids (integers from 0 to 4294967295)",
    convert: |value| match value {
        Value::Array(list) => {
            let ids: Option<Vec<Option<u32>>> = list.iter().map(SPECIAL_TOKEN.convert).collect();
            Some(ids?.into_iter().flatten().collect())
        }
        single => (SPECIAL_TOKEN.convert)(single).map(|id| id.into_iter().collect()),
    },
};

/// A JSON object and its key path.
pub(crate) struct Node<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Node<'a> {
    /// The root of a document; `what` is the name of the document in errors.
    pub fn root(value: &'a Value, what: &str) -> Result<Self, Error> {
        match value {
            Value::Object(map) => Ok(Node { path: String::new(), map }),
            other => Err(Error::Type { key: what.to_owned(), expected: "a JSON object", found: describe(other) }),
        }
    }

    /// The key path of a key of this object.
    pub fn key(&self, key: &str) -> String {
        format!("{}{key}", self.path)
    }

    /// The value of a key, `None` if it is absent; null is a value.
    pub fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key)
    }

    /// The keys of this object.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.map.keys().map(String::as_str)
    }

    /// The error for a key with an unexpected value.
    pub fn wrong(&self, key: &str, value: &Value, expected: &'static str) -> Error {
        Error::Type { key: self.key(key), expected, found: describe(value) }
    }

    /// The value of a key, `None` if it is absent. Null is a type error.
    pub fn get<T>(&self, key: &str, kind: Kind<T>) -> Result<Option<T>, Error> {
        match self.map.get(key) {
            None => Ok(None),
            Some(value) => (kind.convert)(value).map(Some).ok_or_else(|| self.wrong(key, value, kind.expected)),
        }
    }

    /// The value of a key, `None` if it is absent or null.
    pub fn nullable<T>(&self, key: &str, kind: Kind<T>) -> Result<Option<T>, Error> {
        match self.map.get(key) {
            Some(Value::Null) => Ok(None),
            _ => self.get(key, kind),
        }
    }

    /// An object inside this one, `None` if it is absent or null.
    pub fn object(&self, key: &str) -> Result<Option<Node<'a>>, Error> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Node { path: format!("{}{key}.", self.path), map })),
            Some(other) => Err(self.wrong(key, other, "a JSON object")),
        }
    }
}

/// Parses a document.
pub(crate) fn parse(text: &str, what: &str) -> Result<Value, Error> {
    serde_json::from_str(without_byte_order_mark(text))
        .map_err(|error| Error::Parse { what: what.to_owned(), message: error.to_string() })
}

/// A short description of a value for error messages.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => shorten(&number.to_string()),
        Value::String(text) => format!("the string {:?}", shorten(text)),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(map) => format!("an object with {} keys", map.len()),
    }
}

/// Shortens a text that an error message quotes.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}
