//! Writing of Markdown, with docling's conventions.

use crate::document::{Document, Item, Label, Page, Table};

/// Spaces before the items of a nested list, per level.
const INDENT: usize = 4;

/// Maximum length, in bytes, of the text of a cell that is repeated in each column and row that it covers: it bounds
/// the length of the output by a multiple of the input's.
const MAX_REPEATED: usize = 256;

impl Document {
    /// The text as Markdown (CommonMark with tables). Page headers and footers are omitted. Text, code and formulas
    /// cannot become HTML: in text, the characters of HTML and code are escaped; in formulas, `<` is `\lt`. The text of
    /// a cell that covers several columns or rows is repeated in each, unless it is long.
    pub fn to_markdown(&self) -> String {
        let mut blocks = Vec::new();
        for page in &self.pages {
            page_blocks(page, &mut blocks);
        }
        if blocks.is_empty() { String::new() } else { blocks.join("\n\n") + "\n" }
    }
}

fn page_blocks(page: &Page, blocks: &mut Vec<String>) {
    for item in page.items.iter().filter(|item| !item.label.is_furniture()) {
        item_blocks(item, blocks);
    }
}

fn item_blocks(item: &Item, blocks: &mut Vec<String>) {
    let text = escape(&item.text);
    let block = match item.label {
        Label::OrderedList | Label::UnorderedList => {
            let mut lines = Vec::new();
            list_lines(item, 0, &mut lines);
            lines.join("\n")
        }
        Label::Inline => inline(item),
        Label::KeyValueRegion => {
            let lines = item.children.iter().map(|child| match child.label {
                Label::Key => format!("- **{}**", escape(&child.text)),
                _ => format!("- {}", escape(&child.text)),
            });
            lines.collect::<Vec<_>>().join("\n")
        }
        label if label.has_cells() => return table_blocks(item, blocks),
        _ if text.is_empty() => String::new(),
        Label::Title => format!("# {}", one_line(&text)),
        Label::SectionHeader => {
            format!("{} {}", "#".repeat(usize::from(item.level).clamp(1, 5) + 1), one_line(&text))
        }
        Label::Formula => format!("$${}$$", latex(&item.text)),
        Label::Code => code_block(item),
        Label::CheckboxSelected => format!("- [x] {text}"),
        Label::CheckboxUnselected => format!("- [ ] {text}"),
        _ => text.replace('\n', "  \n"),
    };
    if !block.is_empty() {
        blocks.push(block);
    }
    if !item.label.is_list() && !matches!(item.label, Label::Inline | Label::KeyValueRegion) {
        item.children.iter().for_each(|child| item_blocks(child, blocks));
    }
}

/// Captions, then the picture or table, then everything else in it.
fn table_blocks(item: &Item, blocks: &mut Vec<String>) {
    let (captions, others): (Vec<_>, Vec<_>) = item.children.iter().partition(|child| child.label == Label::Caption);
    captions.into_iter().for_each(|child| item_blocks(child, blocks));
    if item.label.is_picture() {
        blocks.push("<!-- image -->".to_owned());
    }
    if let Some(class) = &item.class {
        blocks.push(class_name(class));
    }
    if let Some(table) = &item.table {
        blocks.push(table_rows(table));
    }
    others.into_iter().for_each(|child| item_blocks(child, blocks));
}

/// A class as text: `Bar chart`.
fn class_name(class: &str) -> String {
    let mut name = class.replace('_', " ");
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    name
}

fn list_lines(list: &Item, depth: usize, lines: &mut Vec<String>) {
    let indent = " ".repeat(depth * INDENT);
    let mut number = 0;
    for item in &list.children {
        if item.label.is_list() {
            // Indented without an item before it, it would be code.
            list_lines(item, depth + usize::from(number > 0), lines);
            continue;
        }
        number += 1;
        let marker = if list.label == Label::OrderedList { format!("{number}.") } else { "-".to_owned() };
        let (nested, parts): (Vec<_>, Vec<_>) = item.children.iter().partition(|child| child.label.is_list());
        let parts = parts.into_iter().map(phrase);
        let text: Vec<_> = std::iter::once(escape(&item.text)).chain(parts).filter(|part| !part.is_empty()).collect();
        let text = text.join(" ").replace('\n', &format!("\n{indent}{}", " ".repeat(marker.len() + 1)));
        lines.push(format!("{indent}{marker} {text}").trim_end().to_owned());
        nested.into_iter().for_each(|list| list_lines(list, depth + 1, lines));
    }
}

fn inline(item: &Item) -> String {
    item.children.iter().map(phrase).collect::<Vec<_>>().join(" ")
}

/// A part of a paragraph.
fn phrase(item: &Item) -> String {
    match item.label {
        Label::Inline => inline(item),
        Label::Formula => format!("${}$", one_line(&latex(&item.text))),
        Label::Code => code_span(&item.text),
        _ => escape(&item.text),
    }
}

fn code_span(code: &str) -> String {
    if code.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(code) + 1);
    // Backticks of the code must not extend the fence; a space on both sides is not part of the code.
    let space = if code.starts_with('`') || code.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{}{space}{fence}", one_line(code))
}

fn code_block(item: &Item) -> String {
    let fence = "`".repeat((longest_run(&item.text) + 1).max(3));
    let is_name = |language: &&str| {
        *language != "unknown" && language.chars().all(|c| c.is_ascii_alphanumeric() || "+#_.-".contains(c))
    };
    let language = item.language.as_deref().filter(is_name).unwrap_or_default();
    format!("{fence}{}\n{}\n{fence}", language.to_lowercase(), item.text)
}

/// Length of the longest run of backticks.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// The first row is the header and has as many cells as the table has columns; others may be shorter, so that a table
/// with one long row is not padded to its area.
fn table_rows(table: &Table) -> String {
    let mut rows: Vec<Vec<(usize, String)>> = vec![Vec::new(); table.rows];
    for cell in &table.cells {
        let text = cell_text(&cell.text);
        let repeated = if text.len() <= MAX_REPEATED { text.as_str() } else { "" };
        let columns = cell.column..cell.column + cell.column_span;
        for line in rows.iter_mut().skip(cell.row).take(cell.row_span) {
            line.extend(columns.clone().map(|column| (column, repeated.to_owned())));
        }
        if repeated.is_empty()
            && let Some((_, first)) =
                rows.get_mut(cell.row).and_then(|line| line.iter_mut().rev().find(|(column, _)| *column == cell.column))
        {
            *first = text;
        }
    }
    let mut lines = Vec::with_capacity(rows.len() + 1);
    for (index, mut row) in rows.into_iter().enumerate() {
        row.sort_by_key(|&(column, _)| column);
        let mut texts: Vec<String> = row.into_iter().map(|(_, text)| text).collect();
        if index == 0 {
            texts.resize(table.columns, String::new());
        }
        lines.push(format!("| {} |", texts.join(" | ")));
        if index == 0 {
            lines.push(format!("|{}", "---|".repeat(table.columns)));
        }
    }
    lines.join("\n")
}

fn cell_text(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    escape_code(&escape_html(&text)).replace('|', "&#124;")
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// A formula without characters that Markdown reads as HTML or code.
fn latex(formula: &str) -> String {
    formula.replace('<', "\\lt ").replace('`', "\\lq ").replace("~~", "~ ~ ")
}

/// Escapes characters of HTML and code, and underscores.
fn escape(text: &str) -> String {
    escape_code(&escape_html(text)).replace('_', "\\_")
}

/// Escapes the characters with which code starts: code that starts in a text ends at the start of an item's code, which
/// would then be HTML.
fn escape_code(text: &str) -> String {
    text.replace('`', "&#96;").replace("~~~", "&#126;&#126;&#126;")
}

/// Escapes the characters with which HTML starts.
fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use crate::Document;

    fn markdown(doctags: &str) -> String {
        Document::from_doctags(doctags).to_markdown()
    }

    #[test]
    fn markup_in_text_is_escaped() {
        assert_eq!(markdown("<text><script>a_b</script></text>"), "&lt;script&gt;a\\_b&lt;/script&gt;\n");
        assert_eq!(markdown("<otsl><fcel>a|<b><nl></otsl>"), "| a&#124;&lt;b&gt; |\n|---|\n");
        assert_eq!(markdown("<code><_Rust_>```\n</code>"), "````rust\n```\n````\n");
    }

    #[test]
    fn code_and_formulas_cannot_become_html() {
        let mut document = Document::from_doctags("<code>1</code>");
        document.pages[0].items[0].language = Some("c\n```\n<b>".to_owned());
        assert_eq!(document.to_markdown(), "```\n1\n```\n");
        assert_eq!(markdown("<code><_C++_>1</code>"), "```c++\n1\n```\n");
        assert_eq!(markdown("<formula>a<b</formula>"), "$$a\\lt b$$\n");
        assert_eq!(markdown("<inline><formula>`<i></formula></inline>"), "$\\lq \\lt i>$\n");
        assert_eq!(markdown("<formula>a\n~~~</formula>"), "$$a\n~ ~ ~$$\n");
        assert_eq!(markdown("<inline><code>`<b></code><code></code></inline>").trim_end(), "`` `<b> ``");
        // Otherwise, the first fence is closed by the one of the code.
        assert_eq!(markdown("<text>```</text><code><b></code>"), "&#96;&#96;&#96;\n\n```\n<b>\n```\n");
        assert_eq!(markdown("<text>~~~~</text>"), "&#126;&#126;&#126;~\n");
    }

    #[test]
    fn nested_lists_are_indented() {
        let tags = "<ordered_list><list_item>a<unordered_list><list_item>b</list_item></unordered_list></list_item>\
                    <list_item>c</list_item></ordered_list>";
        assert_eq!(markdown(tags), "1. a\n    - b\n2. c\n");
    }

    #[test]
    fn repeated_text_of_a_wide_cell_is_bounded_by_its_tokens() {
        assert_eq!(markdown("<otsl><ched>h<lcel><nl><fcel>1<nl></otsl>"), "| h | h |\n|---|---|\n| 1 |\n");
    }
}
