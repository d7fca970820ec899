//! Splitting of DocTags into tags and text.

use crate::document::{Label, MAX_LOCATION};
use crate::names::{ALIASES, BLOCKS, CELLS, CLASSES, CONTROL, NUMBERED};

/// Maximum length of a tag in bytes, brackets included.
const MAX_TAG: usize = 40;

/// Minimum length of an incomplete tag at the end of a truncated text, so that a single bracket stays text.
const MIN_PARTIAL_TAG: usize = 3;

/// A tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tag<'a> {
    /// Start of an item; the number is the level of a section header, or the number of a key or value.
    Open(Label, u32),
    /// End of an item.
    Close(Label),
    /// One coordinate.
    Location(u16),
    /// Start of a table cell.
    Cell(CellTag),
    /// End of a table row.
    Row,
    /// Language of code.
    Language(&'a str),
    /// Class of a picture.
    Class(&'a str),
    /// Link from a key to a value.
    Link(u32),
    /// Start of a page's or a document's tags.
    Document,
    /// End of a page's or a document's tags.
    DocumentEnd,
    /// Start of the next page.
    PageBreak,
    /// A tag without meaning here: control tokens, groups.
    Ignored,
}

/// Kind of a table cell in OTSL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CellTag {
    Full,
    Empty,
    ColumnHeader,
    RowHeader,
    Section,
    /// Part of the cell to the left.
    Left,
    /// Part of the cell above.
    Up,
    /// Part of the cell to the left and above.
    Cross,
}

/// A piece of DocTags: its characters and, if it is a known tag, its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub raw: &'a str,
    pub tag: Option<Tag<'a>>,
}

/// Iterator over the pieces of a text. Everything that is not a known tag is text.
pub(crate) struct Pieces<'a> {
    rest: &'a str,
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    /// Whether a location follows the last piece.
    pub(crate) fn location_follows(&self) -> bool {
        matches!(leading_tag(self.rest), Some((_, Tag::Location(_))))
    }

    fn split(&mut self, at: usize, tag: Option<Tag<'a>>) -> Piece<'a> {
        let (raw, rest) = self.rest.split_at(at);
        self.rest = rest;
        Piece { raw, tag }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        if let Some((length, tag)) = leading_tag(self.rest) {
            return Some(self.split(length, Some(tag)));
        }
        if is_partial_tag(self.rest) {
            return Some(self.split(self.rest.len(), Some(Tag::Ignored)));
        }
        // A bracket that starts no tag is text.
        let next = self
            .rest
            .get(1..)
            .filter(|_| self.rest.starts_with('<'))
            .map_or_else(|| self.rest.find('<'), |after| after.find('<').map(|at| at + 1));
        Some(self.split(next.unwrap_or(self.rest.len()), None))
    }
}

/// The tag at the start of a text, and its length.
fn leading_tag(text: &str) -> Option<(usize, Tag<'_>)> {
    let inner = text.strip_prefix('<')?;
    let end = inner.bytes().take(MAX_TAG).position(|byte| matches!(byte, b'>' | b'<' | b' ' | b'\n'))?;
    let name = inner.get(..end).filter(|_| inner.as_bytes()[end] == b'>')?;
    Some((end + 2, tag(name)?))
}

/// The meaning of a tag without its brackets.
fn tag(name: &str) -> Option<Tag<'_>> {
    if let Some(name) = name.strip_prefix('/') {
        return match name {
            "doctag" => Some(Tag::DocumentEnd),
            "form" | "group" => Some(Tag::Ignored),
            _ => block(name).map(|(label, _)| Tag::Close(label)),
        };
    }
    if let Some((label, number)) = block(name) {
        return Some(Tag::Open(label, number));
    }
    if let Some((_, cell)) = CELLS.iter().find(|(known, _)| *known == name) {
        return Some(Tag::Cell(*cell));
    }
    if let Some(location) = number_after(name, "loc_") {
        let location = u16::try_from(location).map_or(MAX_LOCATION, |location| location.min(MAX_LOCATION));
        return Some(Tag::Location(location));
    }
    if let Some(link) = number_after(name, "link_") {
        return Some(Tag::Link(link));
    }
    if let Some(language) = name.strip_prefix('_').and_then(|name| name.strip_suffix('_')) {
        return (!language.is_empty()).then_some(Tag::Language(language));
    }
    Some(match name {
        "nl" => Tag::Row,
        "doctag" => Tag::Document,
        "page_break" => Tag::PageBreak,
        "form" | "group" => Tag::Ignored,
        name if CONTROL.contains(&name) => Tag::Ignored,
        // Names of classes in early checkpoints.
        "line" | "dot_line" => Tag::Class("line_chart"),
        "vbar_categorical" | "hbar_categorical" => Tag::Class("bar_chart"),
        name if CLASSES.contains(&name) => Tag::Class(name),
        _ => return None,
    })
}

/// The label of an item's tag, and its number.
fn block(name: &str) -> Option<(Label, u32)> {
    if let Some((_, label)) = BLOCKS.iter().chain(ALIASES).find(|(known, _)| *known == name) {
        return Some((*label, 0));
    }
    NUMBERED.iter().find_map(|&(prefix, label)| {
        let number = number_after(name, prefix)?;
        (label != Label::SectionHeader || number <= 6).then_some((label, number))
    })
}

/// The name of an item's tag.
pub(crate) fn tag_name(label: Label, number: u32) -> String {
    match label {
        Label::SectionHeader => format!("section_header_level_{}", number.min(6)),
        Label::Key | Label::Value => format!("{}_{number}", label_name(label)),
        _ => label_name(label).to_owned(),
    }
}

/// The name of a label, without a number.
pub(crate) fn label_name(label: Label) -> &'static str {
    match label {
        Label::SectionHeader => "section_header",
        Label::Key => "key",
        Label::Value => "value",
        _ => BLOCKS.iter().find(|(_, other)| *other == label).map_or("text", |(name, _)| name),
    }
}

fn number_after(name: &str, prefix: &str) -> Option<u32> {
    let digits = name.strip_prefix(prefix)?;
    let is_number = (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

/// Whether a text is only the beginning of a tag, as at the end of an answer that reached its maximum length.
fn is_partial_tag(text: &str) -> bool {
    if !(MIN_PARTIAL_TAG..MAX_TAG).contains(&text.len()) {
        return false;
    }
    let Some(name) = text.strip_prefix("</").or_else(|| text.strip_prefix('<')) else { return false };
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let numbered = || NUMBERED.iter().map(|(prefix, _)| *prefix).chain(["loc_", "link_"]);
    let blocks = BLOCKS.iter().chain(ALIASES).map(|(name, _)| *name);
    let names = blocks.chain(numbered()).chain(CELLS.iter().map(|(name, _)| *name));
    let mut names = names.chain(CONTROL.iter().copied()).chain(["doctag", "page_break"]);
    !name.contains('>') && (names.any(|known| known.starts_with(name)) || numbered().any(|prefix| prefix == stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<Piece<'_>> {
        let pieces: Vec<_> = Pieces::new(text).collect();
        assert_eq!(pieces.iter().map(|piece| piece.raw).collect::<String>(), text);
        pieces
    }

    fn tags(text: &str) -> Vec<Option<Tag<'_>>> {
        pieces(text).into_iter().map(|piece| piece.tag).collect()
    }

    #[test]
    fn known_tags_are_recognized() {
        let found = tags("<doctag><section_header_level_2><loc_7>a</section_header_level_2><_C++_><qr_code><nl>");
        assert_eq!(
            found,
            [
                Some(Tag::Document),
                Some(Tag::Open(Label::SectionHeader, 2)),
                Some(Tag::Location(7)),
                None,
                Some(Tag::Close(Label::SectionHeader)),
                Some(Tag::Language("C++")),
                Some(Tag::Class("qr_code")),
                Some(Tag::Row),
            ]
        );
        assert_eq!(tags("<loc_99999><key_12></key_12><link_3>").len(), 4);
        assert_eq!(tags("<loc_99999>"), [Some(Tag::Location(500))]);
    }

    #[test]
    fn everything_else_is_text() {
        for text in
            ["a < b > c", "<b>", "<<", "<section_header_level_9>", "<loc_>", "<loc_1 >", "<é>", "<", "x<", "<__>"]
        {
            assert!(tags(text).iter().all(Option::is_none), "{text}");
        }
        assert_eq!(tags("<b<text>"), [None, Some(Tag::Open(Label::Text, 0))]);
    }

    #[test]
    fn names_of_tags_are_read_back() {
        for (_, label) in BLOCKS.iter().chain(NUMBERED) {
            assert_eq!(block(&tag_name(*label, 3)).unwrap().0, *label);
        }
        assert_eq!(block("references").unwrap().0, Label::Reference);
    }

    #[test]
    fn beginning_of_a_tag_at_the_end_is_ignored() {
        for text in ["<sect", "</tex", "<loc_1", "<section_header_level_", "<|end_of", "<fcel", "<smil", "</ref"] {
            assert_eq!(tags(text), [Some(Tag::Ignored)], "{text}");
        }
        for text in ["<", "<t", "<tea", "<sect x", "<1"] {
            assert!(tags(text).iter().all(Option::is_none), "{text}");
        }
    }
}
