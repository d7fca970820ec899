//! Reading of DocTags.

use crate::document::{BoundingBox, Document, Item, Label, Page};
use crate::nesting::{Nesting, is_same_family, nesting};
use crate::otsl::Otsl;
use crate::tags::{Pieces, Tag};

/// Maximum depth of items within items. Deeper ones follow the item that would have contained them.
const MAX_DEPTH: usize = 12;

impl Document {
    /// Reads DocTags: one page, or several with `<page_break>` or in a `<doctag>` each.
    ///
    /// Never fails. Models produce tags that are missing, misplaced or cut off at the maximum length: what is open at
    /// the end, or where a part begins that it cannot contain, is closed there; text outside of tags becomes an item;
    /// unknown tags are text. Takes time and memory proportional to the length of the text.
    pub fn from_doctags(text: &str) -> Self {
        let mut reader = Reader::default();
        let mut pieces = Pieces::new(text);
        while let Some(piece) = pieces.next() {
            match piece.tag {
                None => reader.text(piece.raw),
                Some(tag) => reader.tag(tag, piece.raw, pieces.location_follows()),
            }
        }
        reader.finish()
    }
}

/// An item whose end has not been read.
struct Open {
    item: Item,
    locations: Vec<u16>,
    otsl: Otsl,
}

impl Open {
    fn new(label: Label) -> Self {
        Self { item: Item::new(label), locations: Vec::new(), otsl: Otsl::default() }
    }

    fn close(self) -> Item {
        let Self { mut item, locations, otsl } = self;
        item.bbox = bounding_box(&locations);
        item.table = otsl.table();
        let text = if item.label == Label::Code {
            item.text.trim_end().trim_start_matches(['\n', '\r'])
        } else {
            item.text.trim()
        };
        item.text = text.to_owned();
        item
    }
}

fn bounding_box(locations: &[u16]) -> Option<BoundingBox> {
    let &[left, top, right, bottom] = locations else { return None };
    Some(BoundingBox { left: left.min(right), top: top.min(bottom), right: left.max(right), bottom: top.max(bottom) })
}

#[derive(Default)]
struct Reader {
    pages: Vec<Page>,
    items: Vec<Item>,
    /// Open items, the outermost first.
    open: Vec<Open>,
}

impl Reader {
    fn finish(mut self) -> Document {
        self.end_page();
        Document { pages: self.pages }
    }

    fn end_page(&mut self) {
        self.close_to(0);
        self.pages.push(Page { size: None, items: std::mem::take(&mut self.items) });
    }

    /// Closes open items until `depth` remain.
    fn close_to(&mut self, depth: usize) {
        while self.open.len() > depth {
            let Some(item) = self.open.pop().map(Open::close) else { return };
            match self.open.last_mut() {
                Some(parent) => parent.item.children.push(item),
                None => self.items.push(item),
            }
        }
    }

    fn close_last(&mut self) {
        self.close_to(self.open.len().saturating_sub(1));
    }

    fn push(&mut self, label: Label) -> &mut Open {
        if self.open.len() >= MAX_DEPTH {
            self.close_last();
        }
        self.open.push(Open::new(label));
        let last = self.open.len() - 1;
        &mut self.open[last]
    }

    fn last_label(&self) -> Option<Label> {
        self.open.last().map(|open| open.item.label)
    }

    fn text(&mut self, text: &str) {
        match self.open.last_mut() {
            Some(last) if last.item.label.has_text() => last.item.text.push_str(text),
            Some(last) if last.item.label.has_cells() && !(last.item.label.is_picture() && last.otsl.is_empty()) => {
                last.otsl.text(text);
            }
            _ if text.trim().is_empty() => {}
            last => {
                let in_list = last.is_some_and(|last| last.item.label.is_list());
                let label = if in_list { Label::ListItem } else { Label::Text };
                self.push(label).item.text.push_str(text);
            }
        }
    }

    fn tag(&mut self, tag: Tag<'_>, raw: &str, located: bool) {
        match tag {
            Tag::Open(label, number) => self.start(label, number, raw, located),
            Tag::Close(label) => self.end(label, raw),
            Tag::Location(location) => self.location(location),
            Tag::Cell(cell) => {
                if self.enter_table(raw)
                    && let Some(last) = self.open.last_mut()
                {
                    last.otsl.cell(cell);
                }
            }
            Tag::Row if self.open.is_empty() => {}
            Tag::Row => {
                if self.enter_table(raw)
                    && let Some(last) = self.open.last_mut()
                {
                    last.otsl.end_row();
                }
            }
            Tag::Language(language) => match self.open.last_mut() {
                Some(Open { item, .. })
                    if item.label == Label::Code && item.language.is_none() && item.text.trim().is_empty() =>
                {
                    item.language = Some(language.to_owned());
                }
                last => literal(last, raw),
            },
            Tag::Class(class) => match self.open.last_mut() {
                Some(Open { item, .. }) if item.label.is_picture() => {
                    item.class.get_or_insert_with(|| class.to_owned());
                }
                last => literal(last, raw),
            },
            Tag::Link(link) => match self.open.last_mut() {
                Some(Open { item, .. }) if matches!(item.label, Label::Key | Label::Value) => item.links.push(link),
                last => literal(last, raw),
            },
            Tag::Document => {
                self.close_to(0);
                if !self.items.is_empty() {
                    self.end_page();
                }
            }
            Tag::DocumentEnd => self.close_to(0),
            Tag::PageBreak => self.end_page(),
            Tag::Ignored => {}
        }
    }

    fn start(&mut self, label: Label, number: u32, raw: &str, located: bool) {
        while let Some(last) = self.open.last_mut() {
            match nesting(last.item.label, label, located, last.otsl.is_empty()) {
                Nesting::Child => break,
                Nesting::Close => self.close_last(),
                Nesting::Merge => return,
                Nesting::Relabel => {
                    last.item.label = label;
                    return;
                }
                Nesting::Text => {
                    last.item.text.push_str(raw);
                    return;
                }
            }
        }
        if self.open.is_empty() && label == Label::ListItem {
            self.push(Label::UnorderedList);
        } else if self.open.is_empty() && matches!(label, Label::Key | Label::Value) {
            self.push(Label::KeyValueRegion);
        }
        let item = &mut self.push(label).item;
        match label {
            Label::SectionHeader => item.level = u8::try_from(number).unwrap_or(u8::MAX),
            Label::Key | Label::Value => item.id = Some(number),
            _ => {}
        }
    }

    fn end(&mut self, label: Label, raw: &str) {
        let matching = |open: &Open| is_same_family(open.item.label, label);
        match self.open.iter().rposition(matching) {
            Some(depth) => self.close_to(depth),
            None if self.last_label() == Some(Label::Code) => literal(self.open.last_mut(), raw),
            None => {}
        }
    }

    fn location(&mut self, location: u16) {
        if let Some(last) = self.open.last_mut()
            && last.locations.len() < 4
            && last.otsl.is_empty()
        {
            last.locations.push(location);
        }
    }

    /// Closes what is open within a table, or starts a table. False if the tag has become text or a separator.
    fn enter_table(&mut self, raw: &str) -> bool {
        if self.last_label() == Some(Label::Code) {
            literal(self.open.last_mut(), raw);
            return false;
        }
        if let Some(table) = self.open.iter().rposition(|open| open.item.label.has_cells()) {
            self.close_to(table + 1);
            return true;
        }
        match self.open.last_mut() {
            Some(last) if last.item.label.has_text() => {
                last.item.text.push(if raw == "<nl>" { '\n' } else { ' ' });
                false
            }
            _ => {
                self.close_to(0);
                self.push(Label::Table);
                true
            }
        }
    }
}

/// Adds a tag that has no meaning in a text to the text.
fn literal(last: Option<&mut Open>, raw: &str) {
    if let Some(last) = last.filter(|last| last.item.label.has_text()) {
        last.item.text.push_str(raw);
    }
}
