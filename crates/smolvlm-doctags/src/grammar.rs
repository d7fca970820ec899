//! A grammar of DocTags for constrained generation.

use crate::document::{Label, MAX_LOCATION};
use crate::names::{BLOCKS, CLASSES, LANGUAGES};

/// A grammar of the DocTags of a page, in the Lark dialect of llguidance.
///
/// `is_token` tells whether a tag, such as `<text>`, is one special token of the model's tokenizer; tokens that are not
/// special do not count. The grammar spells such tags as tokens and omits items whose tags are none. If not even
/// `<text>` is a token, all tags are spelled as text, and text cannot have the character `<`.
///
/// The grammar allows one page between `<doctag>` and `</doctag>`, or one item alone, as models answer for an image of
/// a table, formula, chart or piece of code. It does not allow key-value regions.
pub fn grammar(is_token: impl Fn(&str) -> bool) -> String {
    Writer { has_tokens: is_token("<text>") && is_token("</text>"), is_token }.grammar()
}

/// Names of the items that contain only text.
fn texts() -> impl Iterator<Item = String> {
    let is_text = |label: Label| label.has_text() && !matches!(label, Label::Code | Label::ListItem | Label::Smiles);
    let names = BLOCKS.iter().filter(move |(_, label)| is_text(*label)).map(|(name, _)| (*name).to_owned());
    names.chain((1..=6).map(|level| format!("section_header_level_{level}")))
}

struct Writer<F> {
    is_token: F,
    has_tokens: bool,
}

impl<F: Fn(&str) -> bool> Writer<F> {
    /// Whether items of this name can be generated.
    fn has(&self, name: &str) -> bool {
        let has_tag = |tag: String| (self.is_token)(&tag);
        !self.has_tokens || (has_tag(format!("<{name}>")) && has_tag(format!("</{name}>")))
    }

    /// A tag in the grammar.
    fn tag(&self, name: &str) -> String {
        if (self.is_token)(&format!("<{name}>")) { format!("<{name}>") } else { format!("\"<{name}>\"") }
    }

    /// Tags, of which any may follow.
    fn any(&self, names: impl IntoIterator<Item = String>) -> String {
        names.into_iter().map(|name| self.tag(&name)).collect::<Vec<_>>().join(" | ")
    }

    /// An item with this content, if it can be generated.
    fn item(&self, name: &str, content: &str) -> Option<(String, String)> {
        let rule = format!("{} box? {content} {}", self.tag(name), self.tag(&format!("/{name}")));
        self.has(name).then(|| (name.to_owned(), rule))
    }

    fn grammar(&self) -> String {
        let mut items: Vec<(String, String)> = texts().filter_map(|name| self.item(&name, "content")).collect();
        items.extend(self.item("code", "language? TEXT?"));
        items.extend(self.item("inline", "line? (item line?)*"));
        items.extend(self.item("ordered_list", "line? (list_item line?)*"));
        items.extend(self.item("unordered_list", "line? (list_item line?)*"));
        items.extend(self.item("otsl", "caption? row* caption?"));
        items.extend(self.item("picture", "class? caption? row* caption?"));
        items.extend(self.item("chart", "class? caption? row* caption?"));
        let names: Vec<_> = items.iter().map(|(name, _)| name.as_str()).collect();
        let mut rules = vec![
            ("start".to_owned(), format!("{} line? (item line?)* {} | item", self.tag("doctag"), self.tag("/doctag"))),
            ("item".to_owned(), names.join(" | ")),
        ];
        if !self.has("caption") {
            rules.push(("caption".to_owned(), "content".to_owned()));
        }
        let lists: Vec<_> = ["ordered_list", "unordered_list"].into_iter().filter(|name| self.has(name)).collect();
        let list_item = match lists.as_slice() {
            [] => "content".to_owned(),
            lists => format!("content (line? ({}) line?)?", lists.join(" | ")),
        };
        rules.extend(self.item("list_item", &list_item).or_else(|| Some(("list_item".to_owned(), "TEXT".to_owned()))));
        rules.extend(items);
        let formula = if self.has("formula") {
            format!("TEXT? ({} TEXT {} TEXT?)*", self.tag("formula"), self.tag("/formula"))
        } else {
            "TEXT?".to_owned()
        };
        rules.push(("content".to_owned(), formula));
        rules.push(("row".to_owned(), format!("cell+ {}", self.tag("nl"))));
        let filled = ["fcel", "ched", "rhed", "srow"].map(str::to_owned);
        let empty = ["ecel", "lcel", "ucel", "xcel"].map(str::to_owned);
        rules.push(("cell".to_owned(), format!("({}) TEXT? | {}", self.any(filled), self.any(empty))));
        rules.push(("class".to_owned(), self.any(CLASSES.iter().map(ToString::to_string))));
        rules.push(("language".to_owned(), self.any(LANGUAGES.iter().map(|language| format!("_{language}_")))));
        rules.push(("box".to_owned(), "location location location location".to_owned()));
        rules.push(("line".to_owned(), "\"\\n\"".to_owned()));
        let mut out = String::new();
        for (name, rule) in rules {
            out += &format!("{name}: {rule}\n");
        }
        if (self.is_token)("<loc_0>") {
            let locations = (0..=MAX_LOCATION).map(|location| format!("loc_{location}"));
            let locations = locations.filter(|name| (self.is_token)(&format!("<{name}>")));
            out += &format!("location: {}\n", self.any(locations));
        } else {
            out += "location: LOCATION\nLOCATION: /<loc_(500|[1-4]?[0-9]?[0-9])>/\n";
        }
        // Text that starts with a bracket could be any tag that is not a token.
        out += if self.has_tokens { "TEXT: /[^<](.|\\n)*/\n" } else { "TEXT: /[^<]+/\n" };
        out
    }
}
