//! The document model.

use serde::Serialize;

/// Largest value of a location token: coordinates are multiples of 1/500 of the page's width or height.
pub const MAX_LOCATION: u16 = 500;

/// A document: pages in reading order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Document {
    /// The pages, at least one after reading.
    pub pages: Vec<Page>,
}

/// One page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Page {
    /// Size of the page image in pixels. DocTags do not have it; JSON uses it as the unit of coordinates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<PageSize>,
    /// The items in reading order.
    pub items: Vec<Item>,
}

/// Size of a page image in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PageSize {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// A part of a page: a paragraph, a table, a list with its items, ...
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What it is.
    pub label: Label,
    /// Where it is on the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bbox: Option<BoundingBox>,
    /// Its text: LaTeX of a formula, SMILES of a molecule. Empty for lists, tables and pictures.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Level of a section header, 0 to 6.
    #[serde(skip_serializing_if = "is_zero")]
    pub level: u8,
    /// Programming language of code, such as `Python`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Class of a picture or chart, such as `logo` or `bar_chart`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Cells of a table, or the data of a chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<Table>,
    /// Number of a key or value in its region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// Numbers of the values of a key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<u32>,
    /// Items of a list, parts of inline text, nested lists, keys and values, captions and texts of tables and pictures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Item>,
}

impl Item {
    /// An empty item.
    pub fn new(label: Label) -> Self {
        Self {
            label,
            bbox: None,
            text: String::new(),
            level: 0,
            language: None,
            class: None,
            table: None,
            id: None,
            links: Vec::new(),
            children: Vec::new(),
        }
    }
}

fn is_zero(level: &u8) -> bool {
    *level == 0
}

/// Kind of an item, named as its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Label {
    /// A block of text.
    Text,
    /// A paragraph.
    Paragraph,
    /// The title of the document.
    Title,
    /// A header with a [level](Item::level).
    SectionHeader,
    /// A caption of a table or picture.
    Caption,
    /// A footnote.
    Footnote,
    /// A formula in LaTeX.
    Formula,
    /// Code in a [language](Item::language).
    Code,
    /// An entry of a bibliography.
    Reference,
    /// Handwriting.
    HandwrittenText,
    /// A checked box and its text.
    CheckboxSelected,
    /// An empty box and its text.
    CheckboxUnselected,
    /// Text repeated at the top of pages.
    PageHeader,
    /// Text repeated at the bottom of pages.
    PageFooter,
    /// A list with numbers.
    OrderedList,
    /// A list without numbers.
    UnorderedList,
    /// An item of a list, which may have nested lists.
    ListItem,
    /// Text with formulas and code, as children.
    Inline,
    /// A table.
    Table,
    /// A table of contents.
    DocumentIndex,
    /// A picture.
    Picture,
    /// A chart, whose data are a table.
    Chart,
    /// A molecule in SMILES notation.
    Smiles,
    /// Keys and values of a form.
    KeyValueRegion,
    /// A key of a form.
    Key,
    /// A value of a form.
    Value,
}

impl Label {
    /// Whether it is a list.
    pub fn is_list(self) -> bool {
        matches!(self, Self::OrderedList | Self::UnorderedList)
    }

    /// Whether it may have table cells.
    pub fn has_cells(self) -> bool {
        matches!(self, Self::Table | Self::DocumentIndex | Self::Picture | Self::Chart)
    }

    /// Whether it is a picture or chart.
    pub fn is_picture(self) -> bool {
        matches!(self, Self::Picture | Self::Chart)
    }

    /// Whether it repeats on every page and is not part of the text.
    pub fn is_furniture(self) -> bool {
        matches!(self, Self::PageHeader | Self::PageFooter)
    }

    /// Whether its content is text.
    pub fn has_text(self) -> bool {
        !self.is_list() && !self.has_cells() && !matches!(self, Self::Inline | Self::KeyValueRegion)
    }
}

/// A rectangle in multiples of 1/500 of the page's width and height, with the origin at the top left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BoundingBox {
    /// Left edge.
    pub left: u16,
    /// Top edge.
    pub top: u16,
    /// Right edge.
    pub right: u16,
    /// Bottom edge.
    pub bottom: u16,
}

/// A table: cells by row, then by column, which never overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns: that of the longest row.
    pub columns: usize,
    /// The cells.
    pub cells: Vec<Cell>,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// First row, from 0.
    pub row: usize,
    /// First column, from 0.
    pub column: usize,
    /// Number of rows that it covers.
    pub row_span: usize,
    /// Number of columns that it covers.
    pub column_span: usize,
    /// What it is.
    pub kind: CellKind,
    /// Its text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// Kind of a table cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CellKind {
    /// Data.
    #[default]
    Body,
    /// Header of a column.
    ColumnHeader,
    /// Header of a row.
    RowHeader,
    /// Header of the rows below.
    Section,
}
