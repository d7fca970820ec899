//! Writing of docling's JSON (`DoclingDocument` of docling-core).

use crate::document::{BoundingBox, CellKind, Document, Item, Label, MAX_LOCATION, PageSize, Table};
use crate::names::LANGUAGES;
use crate::tags::label_name;
use serde_json::{Map, Value, json};

/// Version of the schema, the first with classes of pictures as `meta`.
const VERSION: &str = "1.8.0";

impl Document {
    /// The document as JSON that docling loads with `DoclingDocument.model_validate_json`.
    ///
    /// Coordinates are pixels of [`Page::size`](crate::Page::size); without it, fractions of the page.
    pub fn to_docling_json(&self, name: &str) -> String {
        let mut writer = Writer::default();
        let mut pages = Map::new();
        let body = "#/body";
        let mut children = Vec::new();
        for (index, page) in self.pages.iter().enumerate() {
            let number = index + 1;
            let size = page.size.unwrap_or(PageSize { width: 1, height: 1 });
            let (width, height) = (f64::from(size.width), f64::from(size.height));
            pages.insert(number.to_string(), json!({"size": {"width": width, "height": height}, "page_no": number}));
            let place = Place { page: number, width, height };
            page.items.iter().for_each(|item| writer.item(item, body, &place, &mut children));
        }
        let Writer { groups, texts, pictures, tables, key_values } = writer;
        let root = |reference: &str, layer: &str, children: &[Value]| {
            json!({"self_ref": reference, "children": children, "content_layer": layer, "name": "_root_",
                "label": "unspecified"})
        };
        let value = json!({
            "schema_name": "DoclingDocument",
            "version": VERSION,
            "name": name,
            "furniture": root("#/furniture", "furniture", &[]),
            "body": root(body, "body", &children),
            "groups": groups,
            "texts": texts,
            "pictures": pictures,
            "tables": tables,
            "key_value_items": key_values,
            "form_items": [],
            "pages": pages,
        });
        format!("{value:#}\n")
    }
}

/// The page of an item.
struct Place {
    page: usize,
    width: f64,
    height: f64,
}

impl Place {
    /// The location of an item whose text has this many characters.
    fn provenance(&self, bbox: BoundingBox, characters: usize) -> Value {
        let x = |value: u16| f64::from(value) / f64::from(MAX_LOCATION) * self.width;
        let y = |value: u16| f64::from(value) / f64::from(MAX_LOCATION) * self.height;
        json!({
            "page_no": self.page,
            "bbox": {"l": x(bbox.left), "t": y(bbox.top), "r": x(bbox.right), "b": y(bbox.bottom),
                "coord_origin": "TOPLEFT"},
            "charspan": [0, characters],
        })
    }

    /// The list of locations: one or none.
    fn provenances(&self, bbox: Option<BoundingBox>, characters: usize) -> Vec<Value> {
        bbox.map(|bbox| self.provenance(bbox, characters)).into_iter().collect()
    }
}

/// The items so far, by the schema's lists.
#[derive(Default)]
struct Writer {
    groups: Vec<Value>,
    texts: Vec<Value>,
    pictures: Vec<Value>,
    tables: Vec<Value>,
    key_values: Vec<Value>,
}

impl Writer {
    /// Adds an item and, to `siblings`, its reference.
    fn item(&mut self, item: &Item, parent: &str, place: &Place, siblings: &mut Vec<Value>) {
        match item.label {
            Label::OrderedList | Label::UnorderedList => self.group(item, "list", "list", parent, place, siblings),
            Label::Inline => self.group(item, "inline", "group", parent, place, siblings),
            Label::Table | Label::DocumentIndex => self.table(item, parent, place, siblings),
            Label::Picture | Label::Chart => self.picture(item, parent, place, siblings),
            Label::KeyValueRegion => self.key_values(item, parent, place, siblings),
            _ => self.text(item, item.bbox, parent, place, siblings),
        }
    }

    fn group(&mut self, item: &Item, label: &str, name: &str, parent: &str, place: &Place, siblings: &mut Vec<Value>) {
        let (index, reference) = reserve(&mut self.groups, "groups", siblings);
        let mut children = Vec::new();
        let mut number = 0;
        for child in &item.children {
            if item.label.is_list() && child.label == Label::ListItem {
                number += 1;
                let marker = if item.label == Label::OrderedList { format!("{number}.") } else { String::new() };
                let text = self.texts.len();
                self.text(child, child.bbox, &reference, place, &mut children);
                if let Some(Value::Object(fields)) = self.texts.get_mut(text) {
                    fields.insert("enumerated".to_owned(), json!(item.label == Label::OrderedList));
                    fields.insert("marker".to_owned(), json!(marker));
                }
            } else if child.label.has_text() {
                self.text(child, child.bbox.or(item.bbox), &reference, place, &mut children);
            } else {
                self.item(child, &reference, place, &mut children);
            }
        }
        self.groups[index] = json!({"self_ref": reference, "parent": {"$ref": parent}, "children": children,
            "content_layer": "body", "name": name, "label": label});
    }

    fn text(&mut self, item: &Item, bbox: Option<BoundingBox>, parent: &str, place: &Place, siblings: &mut Vec<Value>) {
        let (index, reference) = reserve(&mut self.texts, "texts", siblings);
        let mut children = Vec::new();
        item.children.iter().for_each(|child| self.item(child, &reference, place, &mut children));
        let mut value = json!({
            "self_ref": reference,
            "parent": {"$ref": parent},
            "children": children,
            "content_layer": if item.label.is_furniture() { "furniture" } else { "body" },
            "label": text_label(item.label),
            "prov": place.provenances(bbox, item.text.chars().count()),
            "orig": item.text,
            "text": item.text,
        });
        match item.label {
            Label::SectionHeader => value["level"] = json!(item.level.max(1)),
            Label::Code => {
                let language = item.language.as_deref().filter(|language| LANGUAGES.contains(language));
                value["code_language"] = json!(language.unwrap_or("unknown"));
                for key in ["captions", "references", "footnotes"] {
                    value[key] = json!([]);
                }
            }
            _ => {}
        }
        self.texts[index] = value;
    }

    /// Adds the captions before a table or picture and returns their references.
    fn captions(&mut self, item: &Item, parent: &str, place: &Place, siblings: &mut Vec<Value>) -> Vec<Value> {
        let first = siblings.len();
        for caption in item.children.iter().filter(|child| child.label == Label::Caption) {
            self.text(caption, caption.bbox, parent, place, siblings);
        }
        siblings[first..].to_vec()
    }

    /// Adds everything in a table or picture except captions and the molecule.
    fn contents(&mut self, item: &Item, reference: &str, place: &Place) -> Vec<Value> {
        let mut children = Vec::new();
        let molecule = molecule(item);
        for child in item.children.iter().filter(|child| child.label != Label::Caption) {
            if !molecule.is_some_and(|molecule| std::ptr::eq(molecule, child)) {
                self.item(child, reference, place, &mut children);
            }
        }
        children
    }

    fn table(&mut self, item: &Item, parent: &str, place: &Place, siblings: &mut Vec<Value>) {
        let captions = self.captions(item, parent, place, siblings);
        let (index, reference) = reserve(&mut self.tables, "tables", siblings);
        let children = self.contents(item, &reference, place);
        let mut value = floating(item, &reference, parent, place, children, captions);
        value["label"] = json!(if item.label == Label::DocumentIndex { "document_index" } else { "table" });
        value["data"] = table_data(item.table.as_ref().unwrap_or(&Table::default()));
        value["annotations"] = json!([]);
        self.tables[index] = value;
    }

    fn picture(&mut self, item: &Item, parent: &str, place: &Place, siblings: &mut Vec<Value>) {
        let captions = self.captions(item, parent, place, siblings);
        let (index, reference) = reserve(&mut self.pictures, "pictures", siblings);
        let children = self.contents(item, &reference, place);
        let mut value = floating(item, &reference, parent, place, children, captions);
        value["label"] = json!("picture");
        value["annotations"] = json!([]);
        let mut meta = Map::new();
        if let Some(class) = &item.class {
            let prediction = json!({"confidence": 1.0, "created_by": "smolvlm", "class_name": class});
            meta.insert("classification".to_owned(), json!({"predictions": [prediction]}));
        }
        if let Some(molecule) = molecule(item) {
            meta.insert("molecule".to_owned(), json!({"smi": molecule.text}));
        }
        if let Some(table) = &item.table {
            let title = item.class.as_deref().unwrap_or("other");
            meta.insert("tabular_chart".to_owned(), json!({"title": title, "chart_data": table_data(table)}));
        }
        if !meta.is_empty() {
            value["meta"] = Value::Object(meta);
        }
        self.pictures[index] = value;
    }

    fn key_values(&mut self, item: &Item, parent: &str, place: &Place, siblings: &mut Vec<Value>) {
        let captions = self.captions(item, parent, place, siblings);
        let (index, reference) = reserve(&mut self.key_values, "key_value_items", siblings);
        let parts = || item.children.iter().filter(|child| child.label != Label::Caption);
        // Cells without a number get one of their own.
        let mut free = parts().filter_map(|part| part.id).max().map_or(0, |largest| largest.saturating_add(1));
        let mut cells = Vec::new();
        let mut links = Vec::new();
        for part in parts() {
            let id = part.id.unwrap_or_else(|| {
                free = free.saturating_add(1);
                free - 1
            });
            let label = match part.label {
                Label::Key => "key",
                Label::Value => "value",
                _ => "unspecified",
            };
            let mut cell = json!({"label": label, "cell_id": id, "text": part.text, "orig": part.text});
            if let Some(bbox) = part.bbox {
                cell["prov"] = place.provenance(bbox, 0);
            }
            cells.push(cell);
            links.extend(part.links.iter().map(|&target| (id, target)));
        }
        let ids: std::collections::BTreeSet<_> = cells.iter().filter_map(|cell| cell["cell_id"].as_u64()).collect();
        let links = links.into_iter().filter(|&(_, target)| ids.contains(&u64::from(target)));
        let links: Vec<_> = links
            .map(|(source, target)| json!({"label": "to_value", "source_cell_id": source, "target_cell_id": target}))
            .collect();
        let mut value = floating(item, &reference, parent, place, Vec::new(), captions);
        value["label"] = json!("key_value_region");
        value["graph"] = json!({"cells": cells, "links": links});
        self.key_values[index] = value;
    }
}

/// Reserves the next place in a list, so that items keep their order, and adds its reference to `siblings`. Returns its
/// index and reference.
fn reserve(list: &mut Vec<Value>, name: &str, siblings: &mut Vec<Value>) -> (usize, String) {
    let index = list.len();
    let reference = format!("#/{name}/{index}");
    siblings.push(json!({"$ref": reference}));
    list.push(Value::Null);
    (index, reference)
}

/// The molecule of a picture: the schema has one.
fn molecule(item: &Item) -> Option<&Item> {
    item.children.iter().find(|child| item.label.is_picture() && child.label == Label::Smiles)
}

/// The fields of items with captions.
fn floating(
    item: &Item,
    reference: &str,
    parent: &str,
    place: &Place,
    children: Vec<Value>,
    captions: Vec<Value>,
) -> Value {
    json!({
        "self_ref": reference,
        "parent": {"$ref": parent},
        "children": children,
        "content_layer": "body",
        "prov": place.provenances(item.bbox, 0),
        "captions": captions,
        "references": [],
        "footnotes": [],
    })
}

fn table_data(table: &Table) -> Value {
    let cells: Vec<_> = table
        .cells
        .iter()
        .map(|cell| {
            json!({
                "row_span": cell.row_span,
                "col_span": cell.column_span,
                "start_row_offset_idx": cell.row,
                "end_row_offset_idx": cell.row + cell.row_span,
                "start_col_offset_idx": cell.column,
                "end_col_offset_idx": cell.column + cell.column_span,
                "text": cell.text,
                "column_header": cell.kind == CellKind::ColumnHeader,
                "row_header": cell.kind == CellKind::RowHeader,
                "row_section": cell.kind == CellKind::Section,
                "fillable": false,
            })
        })
        .collect();
    json!({"table_cells": cells, "num_rows": table.rows, "num_cols": table.columns, "orientation": "rot_0"})
}

/// The schema's label of a text.
fn text_label(label: Label) -> &'static str {
    match label {
        Label::Key
        | Label::Value
        | Label::OrderedList
        | Label::UnorderedList
        | Label::Inline
        | Label::Table
        | Label::DocumentIndex
        | Label::Picture
        | Label::Chart
        | Label::Smiles
        | Label::KeyValueRegion => "text",
        _ => label_name(label),
    }
}
