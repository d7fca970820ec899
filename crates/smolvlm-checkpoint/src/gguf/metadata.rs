//! Serialization of metadata.

use super::value::{ARRAY, ValueType};

/// Metadata entries in the bytes of a file.
#[derive(Default)]
pub(super) struct Metadata {
    count: u64,
    bytes: Vec<u8>,
}

impl Metadata {
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn key(&mut self, key: &str, type_number: u32) {
        self.count += 1;
        put_text(&mut self.bytes, key);
        self.bytes.extend(type_number.to_le_bytes());
    }

    /// Starts a list of `len` values.
    fn list(&mut self, key: &str, value_type: ValueType, len: usize) {
        self.key(key, ARRAY);
        self.bytes.extend(value_type.number().to_le_bytes());
        self.bytes.extend((len as u64).to_le_bytes());
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.key(key, ValueType::Text.number());
        put_text(&mut self.bytes, value);
    }

    pub(super) fn u32(&mut self, key: &str, value: u32) {
        self.key(key, ValueType::U32.number());
        self.bytes.extend(value.to_le_bytes());
    }

    /// A size; all sizes of a valid configuration fit 32 bits.
    pub(super) fn size(&mut self, key: &str, value: usize) {
        self.u32(key, u32::try_from(value).unwrap_or(u32::MAX));
    }

    pub(super) fn f32(&mut self, key: &str, value: f64) {
        self.key(key, ValueType::F32.number());
        self.bytes.extend((value as f32).to_le_bytes());
    }

    pub(super) fn bool(&mut self, key: &str, value: bool) {
        self.key(key, ValueType::Bool.number());
        self.bytes.push(value.into());
    }

    pub(super) fn f32_list(&mut self, key: &str, values: &[f64]) {
        self.list(key, ValueType::F32, values.len());
        values.iter().for_each(|value| self.bytes.extend((*value as f32).to_le_bytes()));
    }

    pub(super) fn i32_list(&mut self, key: &str, values: &[i32]) {
        self.list(key, ValueType::I32, values.len());
        values.iter().for_each(|value| self.bytes.extend(value.to_le_bytes()));
    }

    pub(super) fn texts<T: AsRef<str>>(&mut self, key: &str, values: &[T]) {
        self.list(key, ValueType::Text, values.len());
        values.iter().for_each(|value| put_text(&mut self.bytes, value.as_ref()));
    }
}

/// Appends a string: its length, then its bytes.
pub(super) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}
