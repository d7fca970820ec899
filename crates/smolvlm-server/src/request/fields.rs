//! The fields of a JSON object, read one by one, so that each error names its field.

use crate::api_error::ApiError;
use crate::request::number::Number;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The fields of an object, in JSON. A field with null is treated as absent; unknown fields are ignored.
pub(crate) struct Fields<'a> {
    fields: BTreeMap<String, &'a RawValue>,
    /// Prefix of the names in errors, such as `options.`.
    prefix: &'static str,
}

impl<'a> Fields<'a> {
    /// Parses an object.
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(json) {
            Ok(fields) => Ok(Self { fields, prefix: "" }),
            Err(error) => Err(ApiError::invalid(format!("the body must be a JSON object: {error}"))),
        }
    }

    /// The fields of an object in this one; no fields if it is absent.
    pub(crate) fn object(&mut self, name: &'static str, prefix: &'static str) -> Result<Self, ApiError> {
        Ok(Self { fields: self.take(name, "an object")?.unwrap_or_default(), prefix })
    }

    /// Takes a field in JSON.
    pub(crate) fn raw(&mut self, name: &str) -> Option<&'a RawValue> {
        self.fields.remove(name).filter(|value| value.get() != "null")
    }

    /// Takes a field of a type, which `legal` describes.
    pub(crate) fn take<T: Deserialize<'a>>(&mut self, name: &str, legal: &str) -> Result<Option<T>, ApiError> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        match serde_json::from_str(value.get()) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(self.invalid(name, problem(&error, legal))),
        }
    }

    /// Takes a field that must be present.
    pub(crate) fn require<T: Deserialize<'a>>(&mut self, name: &str, legal: &str) -> Result<T, ApiError> {
        self.take(name, legal)?.ok_or_else(|| self.invalid(name, format!("is missing; it must be {legal}")))
    }

    /// Takes a number.
    pub(crate) fn float(&mut self, number: &Number) -> Result<Option<f64>, ApiError> {
        let Some(value) = self.take::<f64>(number.name, "a number")? else { return Ok(None) };
        match number.check(value) {
            Ok(()) => Ok(Some(value)),
            Err(problem) => Err(self.invalid(number.name, problem)),
        }
    }

    /// Takes an integer.
    pub(crate) fn integer(&mut self, number: &Number) -> Result<Option<usize>, ApiError> {
        // Exact: the limits of integers are far below 2^53.
        Ok(self.float(number)?.map(|value| value as usize))
    }

    /// Takes a flag.
    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        self.take(name, "true or false")
    }

    /// The names of the fields that are left.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// The error for an invalid field.
    pub(crate) fn invalid(&self, name: &str, problem: impl AsRef<str>) -> ApiError {
        ApiError::param(&format!("{}{name}", self.prefix), problem)
    }
}

/// What is wrong with a field whose value is not what `legal` describes.
pub(crate) fn problem(error: &serde_json::Error, legal: &str) -> String {
    // serde_json has no category for it.
    if error.to_string().starts_with("recursion limit exceeded") {
        return "is nested too deep".to_owned();
    }
    format!("must be {legal}")
}
