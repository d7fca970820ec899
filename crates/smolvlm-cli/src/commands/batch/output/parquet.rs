//! Parts in Parquet.

use super::{Answer, IdType};
use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};
use serde_json::Value;
use std::fs::File;
use std::io;
use std::sync::Arc;

/// Position of the column `error`.
const ERROR: usize = 5;

/// Writes a file with one row group.
pub fn write<'a>(file: File, answers: impl Iterator<Item = &'a Answer> + Clone, id_type: IdType) -> io::Result<File> {
    write_file(file, answers, id_type).map_err(io::Error::other)
}

/// Number of rows of a file, and how many of them have an error.
pub fn count(file: File) -> io::Result<(u64, u64)> {
    let reader = SerializedFileReader::new(file).map_err(io::Error::other)?;
    let (mut rows, mut failed) = (0, 0);
    for group in reader.metadata().row_groups() {
        let group_rows = u64::try_from(group.num_rows()).unwrap_or(0);
        let errors = group.columns().get(ERROR).and_then(|column| column.statistics());
        let missing = errors.and_then(|statistics| statistics.null_count_opt());
        let missing = missing.ok_or_else(|| io::Error::other("the column error has no statistics"))?;
        rows += group_rows;
        failed += group_rows.saturating_sub(missing);
    }
    Ok((rows, failed))
}

fn write_file<'a>(
    file: File,
    answers: impl Iterator<Item = &'a Answer> + Clone,
    id_type: IdType,
) -> Result<File, ParquetError> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(file, schema(id_type)?, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    match id_type {
        IdType::Integer => column::<Int64Type>(&mut group, answers.clone().map(|answer| answer.id.as_i64()))?,
        IdType::Text => column::<ByteArrayType>(&mut group, answers.clone().map(|answer| Some(id_text(&answer.id))))?,
    }
    text(&mut group, answers.clone().map(|answer| answer.text.as_deref()))?;
    text(&mut group, answers.clone().map(|answer| answer.finish_reason.as_deref()))?;
    count_column(&mut group, answers.clone().map(|answer| answer.prompt_tokens))?;
    count_column(&mut group, answers.clone().map(|answer| answer.completion_tokens))?;
    text(&mut group, answers.clone().map(|answer| answer.error.as_deref()))?;
    notes(&mut group, answers.map(|answer| &*answer.notes))?;
    group.close()?;
    writer.into_inner()
}

fn id_text(id: &Value) -> ByteArray {
    let text = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    text.into_bytes().into()
}

type Group<'a> = SerializedRowGroupWriter<'a, File>;

/// Writes the next column, whose values may be missing.
fn column<T: DataType>(group: &mut Group<'_>, values: impl Iterator<Item = Option<T::T>>) -> Result<(), ParquetError> {
    let (mut present, mut levels) = (Vec::new(), Vec::new());
    for value in values {
        levels.push(i16::from(value.is_some()));
        present.extend(value);
    }
    write_levels::<T>(group, &present, &levels, None)
}

fn write_levels<T: DataType>(
    group: &mut Group<'_>,
    values: &[T::T],
    definitions: &[i16],
    repetitions: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let missing = || ParquetError::General("the schema has fewer columns".to_owned());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(values, Some(definitions), repetitions)?;
    column.close()
}

fn text<'a>(group: &mut Group<'_>, values: impl Iterator<Item = Option<&'a str>>) -> Result<(), ParquetError> {
    column::<ByteArrayType>(group, values.map(|value| value.map(ByteArray::from)))
}

fn count_column(group: &mut Group<'_>, values: impl Iterator<Item = Option<u64>>) -> Result<(), ParquetError> {
    column::<Int64Type>(group, values.map(|value| value.and_then(|value| i64::try_from(value).ok())))
}

/// Writes the lists of notes: an empty list has the definition level 0, an element 1.
fn notes<'a>(group: &mut Group<'_>, rows: impl Iterator<Item = &'a [String]>) -> Result<(), ParquetError> {
    let (mut values, mut definitions, mut repetitions) = (Vec::new(), Vec::new(), Vec::new());
    for notes in rows {
        if notes.is_empty() {
            definitions.push(0);
            repetitions.push(0);
        }
        for (index, note) in notes.iter().enumerate() {
            values.push(ByteArray::from(note.as_str()));
            definitions.push(1);
            repetitions.push(i16::from(index > 0));
        }
    }
    write_levels::<ByteArrayType>(group, &values, &definitions, Some(&repetitions))
}

/// The schema: as that of [`Answer`], where only the list of notes is never null.
fn schema(id_type: IdType) -> Result<TypePtr, ParquetError> {
    let leaf = |name: &str, repetition, is_text: bool| {
        let kind = if is_text { PhysicalType::BYTE_ARRAY } else { PhysicalType::INT64 };
        let builder = Type::primitive_type_builder(name, kind).with_repetition(repetition);
        let logical = is_text.then_some(LogicalType::String);
        builder.with_logical_type(logical).build().map(Arc::new)
    };
    let column = |name, is_text| leaf(name, Repetition::OPTIONAL, is_text);
    let elements = Type::group_type_builder("list").with_repetition(Repetition::REPEATED);
    let elements = elements.with_fields(vec![leaf("element", Repetition::REQUIRED, true)?]).build()?;
    let notes = Type::group_type_builder("notes").with_repetition(Repetition::REQUIRED);
    let notes = notes.with_converted_type(ConvertedType::LIST).with_logical_type(Some(LogicalType::List));
    let fields = vec![
        column("id", id_type == IdType::Text)?,
        column("text", true)?,
        column("finish_reason", true)?,
        column("prompt_tokens", false)?,
        column("completion_tokens", false)?,
        column("error", true)?,
        Arc::new(notes.with_fields(vec![Arc::new(elements)]).build()?),
    ];
    Ok(Arc::new(Type::group_type_builder("schema").with_fields(fields).build()?))
}

#[cfg(test)]
mod tests {
    use super::{Answer, IdType, count, write};
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use serde_json::json;
    use std::fs::File;

    #[test]
    fn all_columns_are_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part.parquet");
        let full = Answer {
            id: json!(3),
            text: Some("A café.".to_owned()),
            finish_reason: Some("eos".to_owned()),
            prompt_tokens: Some(87),
            completion_tokens: Some(4),
            error: None,
            notes: vec!["one".to_owned(), "two".to_owned()],
        };
        let failed = Answer::failed(json!("b"), "no such file".to_owned());
        let last = Answer { id: json!(5), notes: vec!["three".to_owned()], ..full.clone() };
        for (id_type, ids) in [(IdType::Integer, ["3", "null", "5"]), (IdType::Text, ["\"3\"", "\"b\"", "\"5\""])] {
            write(File::create(&path).unwrap(), [&full, &failed, &last].into_iter(), id_type).unwrap();
            assert_eq!(count(File::open(&path).unwrap()).unwrap(), (3, 1));
            let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
            let rows: Vec<String> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
            let expected = |id: &str, notes: &str| {
                format!(
                    "{{id: {id}, text: \"A café.\", finish_reason: \"eos\", prompt_tokens: 87, completion_tokens: 4, \
                     error: null, notes: [{notes}]}}"
                )
            };
            assert_eq!(rows[0], expected(ids[0], "\"one\", \"two\""));
            assert_eq!(rows[2], expected(ids[2], "\"three\""));
            assert!(rows[1].starts_with(&format!("{{id: {}, text: null,", ids[1])), "{}", rows[1]);
            assert!(rows[1].ends_with("error: \"no such file\", notes: []}"), "{}", rows[1]);
        }
    }
}
