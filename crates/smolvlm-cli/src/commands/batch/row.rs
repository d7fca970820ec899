//! A row of a data set.

use super::cell::Cell;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The column that identifies rows, if there is one.
pub const ID_COLUMN: &str = "id";

/// A row of a data set.
#[derive(Debug)]
pub struct Row {
    /// Index in the data set, from 0.
    pub index: u64,
    /// Its data, or why it cannot be read.
    pub data: Result<Data, String>,
    /// Folder of relative paths in the data.
    pub folder: Arc<Path>,
    /// Fraction of the data set up to this row.
    pub position: f64,
}

/// The data of a row.
#[derive(Debug, PartialEq)]
pub enum Data {
    /// An image or a video.
    File {
        /// Where it is.
        path: PathBuf,
        /// Its path in the data set, with forward slashes.
        name: String,
    },
    /// Values with the names of their columns.
    Columns(Vec<(String, Cell)>),
    /// A list of messages.
    Messages(Cell),
}

impl Row {
    /// The identifier: the value of a column, by default of `id`, or else the path of a file or the index of the row.
    ///
    /// # Errors
    ///
    /// A given column that is missing, or whose value is neither a string nor a number.
    pub fn id(&self, column: Option<&str>) -> Result<Value, String> {
        match (&self.data, column) {
            (Ok(Data::File { name, .. }), _) => Ok(name.as_str().into()),
            (Ok(Data::Columns(columns)), _) => {
                let name = column.unwrap_or(ID_COLUMN);
                match (columns.iter().find(|(other, _)| other == name), column) {
                    (Some((_, Cell::Text(text))), _) => Ok(text.as_str().into()),
                    (Some((_, Cell::Number(number))), _) => Ok(number.clone().into()),
                    (_, None) => Ok(self.index.into()),
                    (Some((_, cell)), Some(_)) => Err(format!("the id in column '{name}' is {}", cell.kind())),
                    (None, Some(_)) => Err(format!("there is no column '{name}'")),
                }
            }
            (Ok(Data::Messages(_)), Some(name)) => Err(format!("there is no column '{name}'")),
            _ => Ok(self.index.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Data, Row};
    use crate::commands::batch::cell::Cell;
    use serde_json::{Value, json};
    use std::path::Path;

    fn id(row: Value, column: Option<&str>) -> Result<Value, String> {
        let Cell::Struct(columns) = Cell::from(row) else { panic!("no object") };
        let row = Row { index: 7, data: Ok(Data::Columns(columns)), folder: Path::new("").into(), position: 0.0 };
        row.id(column)
    }

    #[test]
    fn rows_have_the_id_of_a_column_or_their_index() {
        assert_eq!(id(json!({"id": "a"}), None), Ok(json!("a")));
        assert_eq!(id(json!({"id": 3, "key": "b"}), Some("key")), Ok(json!("b")));
        for without in [json!({}), json!({"id": null}), json!({"id": [1]})] {
            assert_eq!(id(without, None), Ok(json!(7)));
        }
        assert!(id(json!({"id": 1}), Some("key")).unwrap_err().contains("'key'"));
        assert!(id(json!({"key": null}), Some("key")).unwrap_err().contains("null"));
    }
}
