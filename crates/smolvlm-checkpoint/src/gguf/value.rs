//! Values of the metadata.

use std::ops::Range;

use super::cursor::Cursor;

/// A value of the metadata. Strings and arrays remain in the file: ranges are from its start.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(Range<usize>),
    Array(Array),
}

/// An array of values that are not arrays.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Array {
    value_type: ValueType,
    pub(super) count: usize,
    range: Range<usize>,
}

/// The type of a value that is not an array, with its number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueType {
    U8 = 0,
    I8 = 1,
    U16 = 2,
    I16 = 3,
    U32 = 4,
    I32 = 5,
    F32 = 6,
    Bool = 7,
    Text = 8,
    U64 = 10,
    I64 = 11,
    F64 = 12,
}

/// The number of an array's type in the file.
pub(super) const ARRAY: u32 = 9;

impl ValueType {
    fn from_number(number: u32) -> Result<Self, String> {
        use ValueType::{Bool, F32, F64, I8, I16, I32, I64, Text, U8, U16, U32, U64};
        if number == ARRAY {
            return Err("is an array of arrays, which no SmolVLM file has".to_owned());
        }
        let mut types = [U8, I8, U16, I16, U32, I32, F32, Bool, Text, U64, I64, F64].into_iter();
        types.find(|own| own.number() == number).ok_or_else(|| format!("has the unknown value type {number}"))
    }

    /// The number in the file.
    pub(super) fn number(self) -> u32 {
        self as u32
    }

    /// Bytes of a value; of a string, those of its length.
    fn min_bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 | Self::Text => 8,
        }
    }

    fn read(self, cursor: &mut Cursor<'_>) -> Result<Value, String> {
        Ok(match self {
            Self::U8 => Value::Unsigned(cursor.u8()?.into()),
            Self::I8 => Value::Signed((cursor.u8()? as i8).into()),
            Self::U16 => Value::Unsigned(cursor.u16()?.into()),
            Self::I16 => Value::Signed((cursor.u16()? as i16).into()),
            Self::U32 => Value::Unsigned(cursor.u32()?.into()),
            Self::I32 => Value::Signed((cursor.u32()? as i32).into()),
            Self::F32 => Value::Float(f32::from_bits(cursor.u32()?).into()),
            Self::Bool => match cursor.u8()? {
                value @ (0 | 1) => Value::Bool(value == 1),
                value => return Err(format!("is the truth value {value}, must be 0 or 1")),
            },
            Self::Text => Value::Text(cursor.string()?),
            Self::U64 => Value::Unsigned(cursor.u64()?),
            Self::I64 => Value::Signed(cursor.u64()? as i64),
            Self::F64 => Value::Float(f64::from_bits(cursor.u64()?)),
        })
    }
}

impl Value {
    /// Reads a value with its type.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, String> {
        let number = cursor.u32()?;
        if number != ARRAY {
            return ValueType::from_number(number)?.read(cursor);
        }
        let value_type = ValueType::from_number(cursor.u32()?)?;
        let count = cursor.u64()?;
        let start = cursor.position();
        let fitting = cursor.remaining() / value_type.min_bytes();
        let count = usize::try_from(count).ok().filter(|count| *count <= fitting);
        let count =
            count.ok_or_else(|| "is an array that is longer than the file; the file may be truncated".to_owned())?;
        match value_type {
            ValueType::Text => {
                for _ in 0..count {
                    cursor.string()?;
                }
            }
            _ => {
                cursor.skip((count * value_type.min_bytes()) as u64)?;
            }
        }
        Ok(Self::Array(Array { value_type, count, range: start..cursor.position() }))
    }

    /// The value as a non-negative integer.
    pub(super) fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::Unsigned(value) => Some(value),
            Self::Signed(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }

    /// The value as a number.
    pub(super) fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::Unsigned(value) => Some(value as f64),
            Self::Signed(value) => Some(value as f64),
            Self::Float(value) => Some(value),
            _ => None,
        }
    }
}

impl Array {
    /// The values; `bytes` is the file.
    pub(super) fn values<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = Value> + use<'a> {
        let (value_type, start) = (self.value_type, self.range.start);
        let mut cursor = Cursor::new(bytes.get(self.range.clone()).unwrap_or_default());
        // Arrays were read once when the file was opened.
        (0..self.count).map_while(move |_| value_type.read(&mut cursor).ok()).map(move |value| match value {
            Value::Text(range) => Value::Text(range.start + start..range.end + start),
            value => value,
        })
    }
}
