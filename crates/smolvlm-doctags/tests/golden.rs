//! Comparison with docling-core, whose outputs are in `tests/golden` (`make.py` makes them).

use serde_json::Value;
use smolvlm_doctags::{CellKind, Document, PageSize};
use std::fs;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("tests/golden")
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Each golden's name and document, with the page size of its images.
fn documents() -> Vec<(String, Document)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = name.strip_suffix(".doctags") else { continue };
        let mut document = Document::from_doctags(&read(&format!("{name}.doctags")));
        for page in &mut document.pages {
            page.size = Some(PageSize { width: 1000, height: 800 });
        }
        found.push((name.to_owned(), document));
    }
    assert!(found.len() >= 3, "{} goldens", found.len());
    found
}

/// Rounds numbers, since docling-core multiplies in another order.
fn rounded(value: &Value) -> Value {
    match value {
        Value::Number(number) => ((number.as_f64().unwrap() * 1e6).round() / 1e6).into(),
        Value::Array(values) => values.iter().map(rounded).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), rounded(value))).collect(),
        other => other.clone(),
    }
}

#[test]
fn json_is_that_of_docling_core() {
    for (name, mut document) in documents() {
        // docling-core does not mark headers.
        let items = document.pages.iter_mut().flat_map(|page| &mut page.items);
        for cell in items.filter_map(|item| item.table.as_mut()).flat_map(|table| &mut table.cells) {
            cell.kind = CellKind::Body;
        }
        let mut ours: Value = serde_json::from_str(&document.to_docling_json("golden")).unwrap();
        let golden: Value = serde_json::from_str(&read(&format!("{name}.json"))).unwrap();
        let mut theirs = golden["document"].clone();
        theirs["version"] = ours["version"].take();
        ours["version"] = theirs["version"].clone();
        for (key, value) in theirs.as_object().unwrap() {
            assert_eq!(rounded(&ours[key]), rounded(value), "{name}: {key}");
        }
    }
}

/// Markdown without the alignment of tables, their markers of alignment, and languages of code.
fn plain(markdown: &str) -> String {
    let mut out = String::new();
    for line in markdown.lines() {
        let is_rule = line.starts_with('|') && line.chars().all(|c| "|-: ".contains(c));
        let line = match line {
            _ if is_rule => "|---|".repeat(line.matches('|').count() - 1),
            row if row.starts_with('|') => row.split_whitespace().collect::<Vec<_>>().join(" "),
            fence if fence.starts_with("```") => "```".to_owned(),
            other => other.to_owned(),
        };
        out += &line;
        out += "\n";
    }
    out.trim_end().to_owned()
}

#[test]
fn markdown_is_that_of_docling_core() {
    for (name, document) in documents() {
        assert_eq!(plain(&document.to_markdown()), plain(&read(&format!("{name}.md"))), "{name}");
    }
}

/// The files that `make.py --check` loads with docling-core.
#[test]
fn written_json_is_up_to_date() {
    for (name, document) in documents() {
        let path = folder().join(format!("{name}.written.json"));
        let text = document.to_docling_json("golden");
        if std::env::var_os("SMOLVLM_WRITE_GOLDENS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        // The order of keys depends on whether another crate of a build enables serde_json's `preserve_order`.
        let [written, found] = [&fs::read_to_string(&path).unwrap(), &text]
            .map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
        assert!(written == found, "{name}: set SMOLVLM_WRITE_GOLDENS to update");
    }
}

#[test]
fn doctags_are_read_back() {
    for (name, document) in documents() {
        let mut again = Document::from_doctags(&document.to_doctags());
        for (page, old) in again.pages.iter_mut().zip(&document.pages) {
            page.size = old.size;
            for item in &mut page.items {
                item.language = item.language.take().filter(|language| language != "unknown");
            }
        }
        assert_eq!(again, document, "{name}");
    }
}
