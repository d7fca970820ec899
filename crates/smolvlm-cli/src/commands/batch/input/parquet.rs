//! Rows in Parquet.

use super::FileRows;
use crate::commands::batch::cell::Cell;
use crate::commands::batch::error::BatchError;
use crate::commands::batch::row::{Data, ID_COLUMN};
use crate::failure::Failure;
use parquet::basic::{ConvertedType, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::{ReaderIter, TreeBuilder};
use parquet::record::{Field, Row};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};
use serde_json::Number;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Values that are decoded at a time: few, because each may be an image.
const BATCH: usize = 16;

/// The rows of a Parquet file.
pub struct ParquetRows {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    /// The columns to read.
    schema: Arc<SchemaDescriptor>,
    /// The next row group.
    group: usize,
    /// The rows of the current one.
    rows: Option<ReaderIter>,
}

impl ParquetRows {
    /// Opens a file; only these columns are read, and that of the identifier if there is one.
    pub fn open(path: &Path, columns: &[String]) -> Result<Self, Failure> {
        let reader = open(path)?;
        let root = reader.metadata().file_metadata().schema_descr().root_schema_ptr();
        let fields = root.get_fields();
        if let Some(missing) = columns.iter().find(|name| !fields.iter().any(|field| field.name() == *name)) {
            let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
            let message = format!("there is no column '{missing}'; there are {}", names.join(", "));
            return Err(BatchError::Input { path: path.to_owned(), message }.into());
        }
        let root = guarded(path, || {
            let is_used =
                |field: &&TypePtr| field.name() == ID_COLUMN || columns.iter().any(|name| name == field.name());
            let fields: Vec<TypePtr> = fields.iter().filter(is_used).cloned().collect();
            Type::group_type_builder(root.name()).with_fields(fields).build()
        })?;
        let schema = Arc::new(SchemaDescriptor::new(Arc::new(root)));
        Ok(Self { path: path.to_owned(), reader, schema, group: 0, rows: None })
    }

    /// Starts the next row group; returns whether there is one.
    fn next_group(&mut self) -> Result<bool, Failure> {
        if self.group == self.reader.num_row_groups() {
            return Ok(false);
        }
        let rows = guarded(&self.path, || {
            let group = self.reader.get_row_group(self.group)?;
            TreeBuilder::new().with_batch_size(BATCH).as_iter(self.schema.clone(), &*group)
        });
        self.rows = Some(rows?);
        self.group += 1;
        Ok(true)
    }

    fn next_record(&mut self) -> Result<Option<Row>, Failure> {
        loop {
            if let Some(rows) = &mut self.rows {
                match guarded(&self.path, || rows.next().transpose())? {
                    Some(row) => return Ok(Some(row)),
                    None => self.rows = None,
                }
            }
            if !self.next_group()? {
                return Ok(None);
            }
        }
    }
}

impl FileRows for ParquetRows {
    fn next(&mut self) -> Result<Option<Result<Data, String>>, Failure> {
        Ok(self.next_record()?.map(|row| Ok(Data::Columns(columns(row)))))
    }

    fn skip(&mut self, count: u64) -> Result<u64, Failure> {
        let mut skipped = 0;
        while skipped < count {
            // Whole row groups are not read.
            while self.rows.is_none() && self.group < self.reader.num_row_groups() {
                let rows = u64::try_from(self.reader.metadata().row_group(self.group).num_rows()).unwrap_or(0);
                if skipped + rows > count {
                    break;
                }
                skipped += rows;
                self.group += 1;
            }
            if skipped == count {
                break;
            }
            if self.next_record()?.is_none() {
                return Ok(skipped);
            }
            skipped += 1;
        }
        Ok(skipped)
    }
}

/// Number of rows of a file, from its footer.
pub fn count_rows(path: &Path) -> Result<u64, Failure> {
    Ok(u64::try_from(open(path)?.metadata().file_metadata().num_rows()).unwrap_or(0))
}

/// Whether identifiers are signed integers: the values of a column, by default of `id`, or else indices.
pub fn has_integer_ids(path: &Path, column: Option<&str>) -> Result<bool, Failure> {
    let reader = open(path)?;
    let fields = reader.metadata().file_metadata().schema_descr().root_schema().get_fields();
    let field = fields.iter().find(|field| field.name() == column.unwrap_or(ID_COLUMN));
    Ok(field.map_or(column.is_none(), |field| field.is_primitive() && is_signed(field)))
}

fn is_signed(field: &Type) -> bool {
    let is_integer = matches!(field.get_physical_type(), PhysicalType::INT32 | PhysicalType::INT64);
    let converted = field.get_basic_info().converted_type();
    let signed = [ConvertedType::NONE, ConvertedType::INT_8, ConvertedType::INT_16, ConvertedType::INT_32];
    is_integer && (signed.contains(&converted) || converted == ConvertedType::INT_64)
}

fn open(path: &Path) -> Result<SerializedFileReader<File>, Failure> {
    let file = File::open(path).map_err(|source| super::read_failure(path, source))?;
    guarded(path, || SerializedFileReader::new(file))
}

/// Runs the decoder, which panics on some damaged files.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, Failure> {
    let message = match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the file is damaged".to_owned(),
    };
    Err(BatchError::Input { path: path.to_owned(), message }.into())
}

fn columns(row: Row) -> Vec<(String, Cell)> {
    row.into_columns().into_iter().map(|(name, field)| (name, cell(&field))).collect()
}

fn cell(field: &Field) -> Cell {
    let float = |value: f64| Number::from_f64(value).map_or(Cell::Null, Cell::Number);
    match field {
        Field::Null => Cell::Null,
        Field::Bool(value) => Cell::Bool(*value),
        Field::Byte(value) => Cell::Number((*value).into()),
        Field::Short(value) => Cell::Number((*value).into()),
        Field::Int(value) => Cell::Number((*value).into()),
        Field::Long(value) => Cell::Number((*value).into()),
        Field::UByte(value) => Cell::Number((*value).into()),
        Field::UShort(value) => Cell::Number((*value).into()),
        Field::UInt(value) => Cell::Number((*value).into()),
        Field::ULong(value) => Cell::Number((*value).into()),
        Field::Float16(value) => float(value.to_f64()),
        Field::Float(value) => float(f64::from(*value)),
        Field::Double(value) => float(*value),
        Field::Str(text) => Cell::Text(text.clone()),
        Field::Bytes(bytes) => Cell::Bytes(bytes.data().to_vec()),
        Field::Group(row) => {
            Cell::Struct(row.get_column_iter().map(|(name, field)| (name.clone(), cell(field))).collect())
        }
        Field::ListInternal(list) => Cell::List(list.elements().iter().map(cell).collect()),
        Field::MapInternal(map) => {
            Cell::Struct(map.entries().iter().map(|(key, value)| (key_text(key), cell(value))).collect())
        }
        // Decimals, dates and times.
        other => Cell::Text(other.to_string()),
    }
}

/// The key of a map as text.
fn key_text(key: &Field) -> String {
    match key {
        Field::Str(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{FileRows, ParquetRows, count_rows, has_integer_ids};
    use crate::commands::batch::cell::Cell;
    use crate::commands::batch::row::Data;
    use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    use std::fs::{self, File};
    use std::path::Path;
    use std::sync::Arc;

    /// A file with two row groups of three rows: an id, and an image as in data sets of the Hub.
    fn write(path: &Path) {
        let schema = "message schema {
            required int64 id;
            optional group image { optional binary bytes; optional binary path (UTF8); }
        }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Default::default()).unwrap();
        for first in [0, 3] {
            let mut group = writer.next_row_group().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<Int64Type>().write_batch(&[first, first + 1, first + 2], None, None).unwrap();
            column.close().unwrap();
            // Bytes, then a path, then no image.
            for (value, levels) in [(vec![1, 2], [2, 1, 0]), (b"a.png".to_vec(), [1, 2, 0])] {
                let mut column = group.next_column().unwrap().unwrap();
                let values = [ByteArray::from(value)];
                column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
                column.close().unwrap();
            }
            group.close().unwrap();
        }
        writer.close().unwrap();
    }

    fn open(path: &Path) -> ParquetRows {
        ParquetRows::open(path, &["image".to_owned()]).unwrap()
    }

    fn ids(rows: &mut ParquetRows) -> Vec<String> {
        let rows = std::iter::from_fn(|| rows.next().unwrap()).map(Result::unwrap);
        let id = |row| match row {
            Data::Columns(mut columns) => columns.swap_remove(0).1.into_json().to_string(),
            _ => panic!("no columns"),
        };
        rows.map(id).collect()
    }

    #[test]
    fn rows_have_the_selected_columns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        write(&path);
        assert_eq!(count_rows(&path).unwrap(), 6);
        assert!(has_integer_ids(&path, None).unwrap() && has_integer_ids(&path, Some("id")).unwrap());
        assert!(!has_integer_ids(&path, Some("image")).unwrap() && !has_integer_ids(&path, Some("other")).unwrap());
        let mut rows = open(&path);
        let image = |bytes, path| {
            let fields = vec![("bytes".to_owned(), bytes), ("path".to_owned(), path)];
            ("image".to_owned(), Cell::Struct(fields))
        };
        let id = |id: i64| ("id".to_owned(), Cell::Number(id.into()));
        let mut next = || rows.next().unwrap().unwrap().unwrap();
        assert_eq!(next(), Data::Columns(vec![id(0), image(Cell::Bytes(vec![1, 2]), Cell::Null)]));
        assert_eq!(next(), Data::Columns(vec![id(1), image(Cell::Null, Cell::Text("a.png".to_owned()))]));
        assert_eq!(next(), Data::Columns(vec![id(2), ("image".to_owned(), Cell::Null)]));
        let mut only = ParquetRows::open(&path, &["id".to_owned()]).unwrap();
        assert_eq!(only.next().unwrap(), Some(Ok(Data::Columns(vec![id(0)]))));
        let error = ParquetRows::open(&path, &["other".to_owned()]).err().unwrap().to_string();
        assert!(error.contains("no column 'other'; there are id, image"), "{error}");
    }

    #[test]
    fn rows_and_row_groups_are_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        write(&path);
        for skipped in 0..8_u64 {
            let mut rows = open(&path);
            assert_eq!(rows.skip(skipped).unwrap(), skipped.min(6));
            assert_eq!(ids(&mut rows), (skipped..6).map(|id| id.to_string()).collect::<Vec<_>>());
        }
        let mut rows = open(&path);
        for _ in 0..2 {
            assert_eq!(rows.skip(2).unwrap(), 2);
        }
        assert_eq!(ids(&mut rows), ["4", "5"]);
    }

    #[test]
    fn damaged_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        write(&path);
        let valid = fs::read(&path).unwrap();
        let mut failed = 0;
        for end in 0..valid.len() {
            fs::write(&path, &valid[..end]).unwrap();
            assert!(ParquetRows::open(&path, &["id".to_owned()]).is_err(), "{end}");
        }
        for at in 0..valid.len() {
            let mut damaged = valid.clone();
            damaged[at] ^= 0x55;
            fs::write(&path, damaged).unwrap();
            let Ok(mut rows) = ParquetRows::open(&path, &["id".to_owned(), "image".to_owned()]) else {
                failed += 1;
                continue;
            };
            // A damaged length may be that of many rows.
            for _ in 0..100 {
                match rows.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => {
                        failed += 1;
                        break;
                    }
                }
            }
        }
        assert!(failed > 20, "{failed}");
    }
}
