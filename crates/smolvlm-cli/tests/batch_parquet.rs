//! `batch` on Parquet files, as input and output.
#![cfg(feature = "parquet")]

mod support;

use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::Row;
use parquet::schema::parser::parse_message_type;
use serde_json::{Value, json};
use std::fs::File;
use std::sync::Arc;
use support::batch::{args, lines, rows, succeeds, values};
use support::{Workspace, harbour, test_file};

/// Bytes and path of an image, a question and a number.
type DataRow = (Option<Vec<u8>>, Option<&'static str>, &'static str, i64);

/// A data set as on the Hub: rows of an image with bytes and path, a question and a number; three per row group.
fn write(workspace: &Workspace, name: &str, data: &[DataRow], codec: Compression) {
    let schema = "message schema {
        optional group image { optional binary bytes; optional binary path (UTF8); }
        optional binary question (UTF8);
        optional int64 number;
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(codec).build());
    let mut writer =
        SerializedFileWriter::new(File::create(workspace.path(name)).unwrap(), schema, properties).unwrap();
    for rows in data.chunks(3) {
        let mut group = writer.next_row_group().unwrap();
        let mut bytes = |values: Vec<Option<ByteArray>>, level: i16| {
            let levels: Vec<i16> = values.iter().map(|value| if value.is_some() { level } else { level - 1 }).collect();
            let values: Vec<ByteArray> = values.into_iter().flatten().collect();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
            column.close().unwrap();
        };
        bytes(rows.iter().map(|row| row.0.clone().map(ByteArray::from)).collect(), 2);
        bytes(rows.iter().map(|row| row.1.map(ByteArray::from)).collect(), 2);
        bytes(rows.iter().map(|row| Some(ByteArray::from(row.2))).collect(), 1);
        let numbers: Vec<i64> = rows.iter().map(|row| row.3).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&numbers, Some(&vec![1; numbers.len()]), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
}

fn data() -> Vec<DataRow> {
    vec![
        (Some(harbour()), Some("gone.jpg"), "What?", 10),
        (None, Some("shapes.png"), "Where?", 20),
        (None, None, "Who?", 30),
        (Some(b"no image".to_vec()), None, "When?", 40),
        (Some(harbour()), None, "What?", 50),
    ]
}

fn read(workspace: &Workspace, name: &str) -> Vec<Row> {
    let reader = SerializedFileReader::new(File::open(workspace.path(name)).unwrap()).unwrap();
    reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

/// A column as it is displayed.
fn column(rows: &[Row], name: &str) -> Vec<String> {
    let value = |row: &Row| {
        let (_, field) = row.get_column_iter().find(|(other, _)| *other == name).unwrap();
        field.to_string()
    };
    rows.iter().map(value).collect()
}

#[test]
fn a_data_set_of_the_hub_is_answered_in_parquet() {
    let workspace = Workspace::empty();
    workspace.write("shapes.png", &test_file("corpus/world/shapes.png"));
    write(&workspace, "in.parquet", &data(), Compression::SNAPPY);
    let question = ["--image-column", "image", "--prompt", "{question}"];
    let more = [&question[..], &["--id-column", "number", "--rows-per-part", "2"]].concat();
    succeeds(&workspace, "in.parquet", "out", &more);
    let answers: Vec<Row> = (0..3).flat_map(|part| read(&workspace, &format!("out/part-{part:05}.parquet"))).collect();
    assert_eq!(column(&answers, "id"), ["10", "20", "30", "40", "50"]);
    let errors = column(&answers, "error");
    assert!(errors[2].contains("neither bytes nor a path") && errors[3].contains("image"), "{errors:?}");
    let texts = column(&answers, "text");
    assert_eq!(texts[0], texts[4]);
    let describe = workspace.succeeds(&[
        "describe",
        "shapes.png",
        "--no-loop-guard",
        "--prompt",
        "Where?",
        "--random",
        "tiny",
        "--max-new-tokens",
        "3",
    ]);
    assert_eq!(texts[1], format!("\"{}\"", describe.strip_suffix('\n').unwrap()));

    // The same from other files to JSON.
    for (name, codec) in [
        ("zstd", Compression::ZSTD(ZstdLevel::default())),
        ("gzip", Compression::GZIP(GzipLevel::default())),
        ("none", Compression::UNCOMPRESSED),
    ] {
        write(&workspace, &format!("{name}.parquet"), &data(), codec);
        let more = [&question[..], &["--format", "jsonl"]].concat();
        succeeds(&workspace, &format!("{name}.parquet"), name, &more);
        let answers = rows(&workspace, name);
        assert_eq!(values(&answers, "id"), [0, 1, 2, 3, 4]);
        for (answer, text) in answers.iter().zip(&texts) {
            assert_eq!(answer["text"].as_str().map_or("null".to_owned(), |text| format!("\"{text}\"")), *text);
        }
    }
}

#[test]
fn runs_on_parquet_resume_and_shards_are_complete() {
    let workspace = Workspace::empty();
    let rows: Vec<_> = (0..10).map(|number| (None, None, "Why?", number)).collect();
    write(&workspace, "in.parquet", &rows, Compression::SNAPPY);
    let more = ["--prompt", "{question} {number}", "--id-column", "number", "--rows-per-part", "2"];
    for shard in ["1/2", "2/2"] {
        succeeds(&workspace, "in.parquet", "out", &[&more[..], &["--shard", shard]].concat());
    }
    let name = |shard: u64, part: u64| format!("out/shard-{shard}-of-2-part-{part:05}.parquet");
    let ids = || (0..6).flat_map(|n| column(&read(&workspace, &name(n % 2 + 1, n / 2)), "id")).collect::<Vec<_>>();
    assert_eq!(ids(), ["0", "2", "1", "3", "4", "6", "5", "7", "8", "9"]);
    std::fs::remove_file(workspace.path(&name(2, 1))).unwrap();
    let summary = succeeds(&workspace, "in.parquet", "out", &[&more[..], &["--shard", "2/2"]].concat());
    assert!(summary.contains("2 rows, ") && summary.contains("3 rows were answered before"), "{summary}");
    assert_eq!(ids().len(), 10);
}

#[test]
fn missing_columns_and_damaged_files_are_errors_of_the_run() {
    let workspace = Workspace::empty();
    write(&workspace, "in.parquet", &data(), Compression::SNAPPY);
    let error = workspace.fails(&args("in.parquet", "out", &["--image-column", "picture"]));
    assert!(error.contains("no column 'picture'; there are image, question, number"), "{error}");
    let whole = std::fs::read(workspace.path("in.parquet")).unwrap();
    workspace.write("cut.parquet", &whole[..whole.len() - 1]);
    for file in ["cut.parquet", "empty.parquet"] {
        workspace.write("empty.parquet", b"");
        let error = workspace.fails(&args(file, "out", &["--image-column", "image"]));
        assert!(error.contains(file), "{error}");
    }
}

#[test]
fn parquet_output_of_jsonl_has_text_ids() {
    let workspace = Workspace::empty();
    let question = |id: Value| json!({"id": id, "messages": [{"role": "user", "content": "Why?"}]});
    workspace.write("in.jsonl", lines([question(json!(7)), question(json!("a"))]).as_bytes());
    succeeds(&workspace, "in.jsonl", "out", &["--format", "parquet"]);
    let answers = read(&workspace, "out/part-00000.parquet");
    assert_eq!(column(&answers, "id"), ["\"7\"", "\"a\""]);
    assert_eq!(column(&answers, "notes"), ["[]", "[]"]);
}
