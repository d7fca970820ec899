//! Writing of DocTags.

use crate::document::{BoundingBox, CellKind, Document, Item, Label, Table};
use crate::tags::tag_name;

impl Document {
    /// The document as DocTags, one item per line, with `<page_break>` between pages.
    ///
    /// There is no way to write text that looks like a tag: it is read as one.
    pub fn to_doctags(&self) -> String {
        let mut out = "<doctag>".to_owned();
        for (index, page) in self.pages.iter().enumerate() {
            if index > 0 {
                out.push_str("<page_break>\n");
            }
            for item in &page.items {
                write_item(&mut out, item);
                out.push('\n');
            }
        }
        out.push_str("</doctag>");
        out
    }
}

fn write_item(out: &mut String, item: &Item) {
    let number = item.id.unwrap_or(item.level.into());
    let name = tag_name(item.label, number);
    out.push_str(&format!("<{name}>"));
    if let Some(bbox) = item.bbox {
        write_location(out, bbox);
    }
    if let Some(class) = &item.class {
        out.push_str(&format!("<{class}>"));
    }
    if item.label == Label::Code {
        out.push_str(&format!("<_{}_>", item.language.as_deref().unwrap_or("unknown")));
    }
    if let Some(table) = &item.table {
        write_table(out, table);
    }
    out.push_str(&item.text);
    for link in &item.links {
        out.push_str(&format!("<link_{link}>"));
    }
    let by_line = item.label.is_list() || item.label == Label::Inline;
    for (index, child) in item.children.iter().enumerate() {
        if by_line && (index > 0 || item.label == Label::Inline) {
            out.push('\n');
        }
        write_item(out, child);
    }
    if by_line {
        out.push('\n');
    }
    out.push_str(&format!("</{name}>"));
}

fn write_location(out: &mut String, bbox: BoundingBox) {
    for location in [bbox.left, bbox.top, bbox.right, bbox.bottom] {
        out.push_str(&format!("<loc_{location}>"));
    }
}

/// The cells as OTSL. Rows are as long as their cells.
fn write_table(out: &mut String, table: &Table) {
    let mut rows: Vec<Vec<(usize, &str, &str)>> = vec![Vec::new(); table.rows];
    for cell in &table.cells {
        for row in cell.row..cell.row + cell.row_span {
            let Some(line) = rows.get_mut(row) else { break };
            for column in cell.column..cell.column + cell.column_span {
                let (tag, text) = match (row == cell.row, column == cell.column) {
                    (true, true) => (start_tag(cell.kind, &cell.text), cell.text.as_str()),
                    (true, false) => ("<lcel>", ""),
                    (false, true) => ("<ucel>", ""),
                    (false, false) => ("<xcel>", ""),
                };
                line.push((column, tag, text));
            }
        }
    }
    for mut line in rows {
        line.sort_by_key(|&(column, ..)| column);
        for (_, tag, text) in line {
            out.push_str(tag);
            out.push_str(text);
        }
        out.push_str("<nl>");
    }
}

fn start_tag(kind: CellKind, text: &str) -> &'static str {
    match kind {
        CellKind::Body if text.is_empty() => "<ecel>",
        CellKind::Body => "<fcel>",
        CellKind::ColumnHeader => "<ched>",
        CellKind::RowHeader => "<rhed>",
        CellKind::Section => "<srow>",
    }
}
