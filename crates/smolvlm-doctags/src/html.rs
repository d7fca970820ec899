//! Writing of HTML.

use crate::document::{CellKind, Document, Item, Label, Table};

const HEAD: &str = "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<title>";

const STYLE: &str = "</title>\n<style>\n\
    body { font-family: sans-serif; line-height: 1.5; max-width: 50em; margin: 2em auto; padding: 0 1em; }\n\
    table { border-collapse: collapse; margin: 1em 0; }\n\
    th, td { border: 1px solid #bbb; padding: 0.3em 0.6em; text-align: left; }\n\
    caption, figcaption { color: #555; font-style: italic; }\n\
    pre { background: #f4f4f4; padding: 0.8em; overflow: auto; }\n\
    .formula { font-family: monospace; white-space: pre-wrap; }\n\
    hr.page { border: 0; border-top: 1px dashed #bbb; margin: 2em 0; }\n\
    </style>\n</head>\n<body>\n";

impl Document {
    /// The text as a web page that refers to no other files and has no scripts. All text is escaped. Formulas are
    /// LaTeX between `\[` and `\]`, or `\(` and `\)`. Page headers and footers are omitted; pages are separated by a
    /// line.
    pub fn to_html(&self) -> String {
        let title = self.pages.iter().flat_map(|page| &page.items).find(|item| item.label == Label::Title);
        let mut out = HEAD.to_owned();
        let title: Vec<_> = title.map_or("Document", |title| &title.text).split_whitespace().collect();
        // A title of a page has no elements, such as line breaks.
        escape_markup(&mut out, &title.join(" "));
        out.push_str(STYLE);
        for (index, page) in self.pages.iter().enumerate() {
            if index > 0 {
                out.push_str("<hr class=\"page\">\n");
            }
            page.items.iter().filter(|item| !item.label.is_furniture()).for_each(|item| block(&mut out, item));
        }
        out.push_str("</body>\n</html>\n");
        out
    }
}

fn block(out: &mut String, item: &Item) {
    match item.label {
        Label::OrderedList | Label::UnorderedList => list(out, item),
        Label::KeyValueRegion => key_values(out, item),
        Label::Table | Label::DocumentIndex => {
            let is_caption = |child: &&Item| child.label == Label::Caption;
            table(out, item.table.as_ref(), item.children.iter().filter(is_caption));
            item.children.iter().filter(|child| !is_caption(child)).for_each(|child| block(out, child));
        }
        Label::Picture | Label::Chart => figure(out, item),
        Label::Inline => {
            out.push_str("<p>");
            phrase(out, item);
            out.push_str("</p>\n");
        }
        Label::Code => {
            out.push_str("<pre><code>");
            escape_markup(out, &item.text);
            out.push_str("</code></pre>\n");
        }
        Label::Formula => {
            out.push_str("<div class=\"formula\">\\[");
            escape(out, &item.text);
            out.push_str("\\]</div>\n");
        }
        label => {
            let heading = ["h1", "h2", "h3", "h4", "h5", "h6"];
            let tag = match label {
                Label::Title => heading[0],
                Label::SectionHeader => heading[usize::from(item.level).clamp(1, 5)],
                _ => "p",
            };
            out.push_str(&format!("<{tag}>"));
            phrase(out, item);
            out.push_str(&format!("</{tag}>\n"));
            item.children.iter().for_each(|child| block(out, child));
        }
    }
}

fn list(out: &mut String, list: &Item) {
    let tag = if list.label == Label::OrderedList { "ol" } else { "ul" };
    out.push_str(&format!("<{tag}>\n"));
    for item in &list.children {
        out.push_str("<li>");
        if item.label.is_list() {
            self::list(out, item);
        } else {
            phrase(out, item);
            for child in &item.children {
                if child.label.is_list() { self::list(out, child) } else { phrase(out, child) }
            }
        }
        out.push_str("</li>\n");
    }
    out.push_str(&format!("</{tag}>\n"));
}

fn key_values(out: &mut String, region: &Item) {
    out.push_str("<dl>\n");
    for child in &region.children {
        let tag = if child.label == Label::Key { "dt" } else { "dd" };
        out.push_str(&format!("<{tag}>"));
        phrase(out, child);
        out.push_str(&format!("</{tag}>\n"));
    }
    out.push_str("</dl>\n");
}

fn figure(out: &mut String, item: &Item) {
    out.push_str("<figure>\n");
    if let Some(class) = &item.class {
        out.push_str("<p>");
        escape(out, &class.replace('_', " "));
        out.push_str("</p>\n");
    }
    if item.table.is_some() {
        table(out, item.table.as_ref(), std::iter::empty());
    }
    for child in &item.children {
        if child.label == Label::Caption {
            out.push_str("<figcaption>");
            phrase(out, child);
            out.push_str("</figcaption>\n");
        } else {
            block(out, child);
        }
    }
    out.push_str("</figure>\n");
}

fn table<'a>(out: &mut String, table: Option<&Table>, captions: impl Iterator<Item = &'a Item>) {
    out.push_str("<table>");
    let captions: Vec<_> = captions.collect();
    if !captions.is_empty() {
        out.push_str("<caption>");
        for (index, caption) in captions.into_iter().enumerate() {
            if index > 0 {
                out.push_str("<br>");
            }
            phrase(out, caption);
        }
        out.push_str("</caption>");
    }
    out.push_str("<tbody>");
    let mut cells = table.map_or(&[][..], |table| &table.cells).iter().peekable();
    for row in 0..table.map_or(0, |table| table.rows) {
        out.push_str("<tr>");
        while let Some(cell) = cells.next_if(|cell| cell.row <= row) {
            let tag = if cell.kind == CellKind::Body { "td" } else { "th" };
            out.push_str(&format!("<{tag}"));
            for (name, span) in [("rowspan", cell.row_span), ("colspan", cell.column_span)] {
                if span > 1 {
                    out.push_str(&format!(" {name}=\"{span}\""));
                }
            }
            out.push('>');
            escape(out, &cell.text);
            out.push_str(&format!("</{tag}>"));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table>\n");
}

/// A part of a paragraph.
fn phrase(out: &mut String, item: &Item) {
    let (start, end) = match item.label {
        Label::Formula => ("<span class=\"formula\">\\(", "\\)</span>"),
        Label::Code => ("<code>", "</code>"),
        Label::CheckboxSelected => ("\u{2611} ", ""),
        Label::CheckboxUnselected => ("\u{2610} ", ""),
        _ => ("", ""),
    };
    out.push_str(start);
    escape(out, &item.text);
    out.push_str(end);
    if item.label == Label::Inline {
        for (index, child) in item.children.iter().enumerate() {
            if index > 0 {
                out.push(' ');
            }
            phrase(out, child);
        }
    }
}

/// Escapes a text, whose lines stay lines.
fn escape(out: &mut String, text: &str) {
    for (index, line) in text.lines().enumerate() {
        if index > 0 {
            out.push_str("<br>\n");
        }
        escape_markup(out, line);
    }
}

fn escape_markup(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Document;

    fn body(doctags: &str) -> String {
        let html = Document::from_doctags(doctags).to_html();
        let (_, body) = html.split_once("<body>\n").unwrap();
        body.strip_suffix("</body>\n</html>\n").unwrap().to_owned()
    }

    #[test]
    fn text_is_escaped_everywhere() {
        let evil = "<script>\"&";
        let tags = format!(
            "<title>{evil}</title><text>{evil}</text><code>{evil}</code><formula>{evil}</formula><otsl><fcel>{evil}\
             <caption>{evil}</caption></otsl><unordered_list><list_item>{evil}</list_item></unordered_list>"
        );
        let html = Document::from_doctags(&tags).to_html();
        assert!(!html.contains("<script") && !html.contains("\"&"), "{html}");
        assert_eq!(html.matches("&lt;script&gt;&quot;&amp;").count(), 8);
    }

    #[test]
    fn title_of_the_page_is_one_line() {
        let html = Document::from_doctags("<title>a\n<b></title>").to_html();
        assert!(html.contains("<title>a &lt;b&gt;</title>"), "{html}");
        assert!(html.contains("<h1>a<br>\n&lt;b&gt;</h1>"), "{html}");
    }

    #[test]
    fn tables_have_headers_and_spans() {
        let html = body("<otsl><ched>a<lcel><nl><rhed>b<fcel>c<nl><caption>d</caption></otsl>");
        let rows = "<tr><th colspan=\"2\">a</th></tr><tr><th>b</th><td>c</td></tr>";
        assert_eq!(html, format!("<table><caption>d</caption><tbody>{rows}</tbody></table>\n"));
    }

    #[test]
    fn code_keeps_its_lines() {
        assert_eq!(body("<code><_C_>a\n b</code>"), "<pre><code>a\n b</code></pre>\n");
    }
}
