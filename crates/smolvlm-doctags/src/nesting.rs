//! Which items may contain which, and what happens at the start of one that an open item cannot contain.

use crate::document::Label;

/// What happens at the start of an item while another one is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nesting {
    /// It becomes a child of the open item.
    Child,
    /// The open item ends before it.
    Close,
    /// Its text becomes part of the open item.
    Merge,
    /// The open item becomes one of this kind.
    Relabel,
    /// The tag itself is text.
    Text,
}

/// Decides for an item that starts within an open one. `located` is whether it has a location of its own, which items
/// within other text usually lack, and `no_cells` whether the open item has no table cells yet.
pub(crate) fn nesting(open: Label, start: Label, located: bool, no_cells: bool) -> Nesting {
    use Label::{
        Caption, Chart, CheckboxSelected, CheckboxUnselected, Code, DocumentIndex, Footnote, Formula, Inline, Key,
        KeyValueRegion, ListItem, OrderedList, Paragraph, Picture, Smiles, Table, Text, UnorderedList, Value,
    };
    let is_phrase = matches!(start, Text | Paragraph | Formula | Code | CheckboxSelected | CheckboxUnselected | Smiles);
    match (open, start) {
        (OrderedList | UnorderedList, ListItem | OrderedList | UnorderedList) => Nesting::Child,
        (ListItem, OrderedList | UnorderedList | Inline) => Nesting::Child,
        (Inline, _) if is_phrase => Nesting::Child,
        (KeyValueRegion, Key | Value | Caption) => Nesting::Child,
        (Table | DocumentIndex, Caption) | (Picture | Chart, Caption | Smiles) => Nesting::Child,
        (Table | DocumentIndex, Footnote) if !located => Nesting::Child,
        (Table | DocumentIndex, Inline | ListItem | Picture) if !located && !no_cells => Nesting::Merge,
        (Table | DocumentIndex, _) if is_phrase && !located && !no_cells => Nesting::Merge,
        (DocumentIndex, Table) if no_cells => Nesting::Merge,
        (Picture, Chart) if no_cells && !located => Nesting::Relabel,
        (Picture | Chart, Table) if no_cells && !located => Nesting::Merge,
        (Picture | Chart, _) if is_phrase && !located => Nesting::Child,
        (Code, _) if !located => Nesting::Text,
        (open, Formula | Code | Inline | Smiles | CheckboxSelected | CheckboxUnselected)
            if open.has_text() && open != start && !located =>
        {
            Nesting::Merge
        }
        (ListItem, Text | Paragraph) if !located => Nesting::Merge,
        _ => Nesting::Close,
    }
}

/// Whether an end tag of one label ends items of another: models confuse the kinds of lists, and pictures with charts.
pub(crate) fn is_same_family(open: Label, end: Label) -> bool {
    let is_table = |label| matches!(label, Label::Table | Label::DocumentIndex);
    open == end
        || (open.is_list() && end.is_list())
        || (open.is_picture() && end.is_picture())
        || (is_table(open) && is_table(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn located_items_are_not_part_of_text() {
        assert_eq!(nesting(Label::Text, Label::Formula, false, true), Nesting::Merge);
        assert_eq!(nesting(Label::Text, Label::Formula, true, true), Nesting::Close);
        assert_eq!(nesting(Label::Code, Label::Title, false, true), Nesting::Text);
        assert_eq!(nesting(Label::Code, Label::Title, true, true), Nesting::Close);
        assert_eq!(nesting(Label::Formula, Label::Formula, false, true), Nesting::Close);
    }

    #[test]
    fn end_tags_of_related_items_match() {
        assert!(is_same_family(Label::OrderedList, Label::UnorderedList));
        assert!(is_same_family(Label::Picture, Label::Chart));
        assert!(!is_same_family(Label::Text, Label::Title));
    }
}
