//! Properties of reading and writing for any text, in particular for tags that are missing, misplaced or cut off.

use smolvlm_doctags::{Document, Item};

const PIECES: &[&str] = &[
    "<doctag>",
    "</doctag>",
    "<text>",
    "</text>",
    "<title>",
    "</title>",
    "<section_header_level_1>",
    "</section_header_level_1>",
    "<caption>",
    "</caption>",
    "<formula>",
    "</formula>",
    "<code>",
    "</code>",
    "<_C_>",
    "<ordered_list>",
    "</ordered_list>",
    "<unordered_list>",
    "</unordered_list>",
    "<list_item>",
    "</list_item>",
    "<otsl>",
    "</otsl>",
    "<fcel>",
    "<ecel>",
    "<lcel>",
    "<ucel>",
    "<xcel>",
    "<ched>",
    "<nl>",
    "<picture>",
    "</picture>",
    "<chart>",
    "</chart>",
    "<logo>",
    "<inline>",
    "</inline>",
    "<page_break>",
    "<key_value_region>",
    "</key_value_region>",
    "<key_1>",
    "</key_1>",
    "<value_2>",
    "</value_2>",
    "<link_2>",
    "<document_index>",
    "</document_index>",
    "<smiles>",
    "</smiles>",
    "<footnote>",
    "</footnote>",
    "<page_header>",
    "</page_header>",
    "<checkbox_selected>",
    "<loc_1><loc_2><loc_3><loc_4>",
    "<loc_7>",
    "<|end_of_text|>",
    "\n",
    " ",
];

/// Pieces that are not tags, or only look like tags.
const NOISE: &[&str] =
    &["<", ">", "</", "<b>", "<loc_", "é", "日本", "<_", "_>", "\0", "<text", "|", "`", "&amp;", "\r\n"];

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// Random tags and words, all of which differ; with noise between them if asked.
fn soup(random: &mut Random, noise: bool) -> (String, Vec<String>) {
    let mut text = String::new();
    let mut words = Vec::new();
    for index in 0..random.below(120) {
        match random.below(10) {
            0..=5 => text += PIECES[random.below(PIECES.len())],
            6 if noise => text += NOISE[random.below(NOISE.len())],
            _ => {
                let word = format!("w{index}w");
                text += &format!(" {word} ");
                words.push(word);
            }
        }
    }
    (text, words)
}

fn texts(items: &[Item], out: &mut String) {
    for item in items {
        *out += &format!(" {} ", item.text);
        for cell in item.table.iter().flat_map(|table| &table.cells) {
            *out += &format!(" {} ", cell.text);
        }
        texts(&item.children, out);
    }
}

/// Names of values that are missing in a text.
fn missing<'a>(words: &'a [String], text: &str) -> Vec<&'a String> {
    words.iter().filter(|word| !text.contains(word.as_str())).collect()
}

#[test]
fn all_words_are_kept() {
    let mut random = Random(1);
    for _ in 0..20_000 {
        let noise = random.below(2) == 0;
        let (soup, words) = soup(&mut random, noise);
        let document = Document::from_doctags(&soup);
        let mut kept = String::new();
        document.pages.iter().for_each(|page| texts(&page.items, &mut kept));
        assert!(missing(&words, &kept).is_empty(), "{:?} of {soup}", missing(&words, &kept));
        for written in [document.to_doctags(), document.to_docling_json("soup")] {
            let lost = missing(&words, &written);
            assert!(lost.is_empty(), "{lost:?} of {soup}\n{written}");
        }
        let mut shown = document.clone();
        for page in &mut shown.pages {
            page.items.retain(|item| !item.label.is_furniture());
        }
        let mut kept = String::new();
        shown.pages.iter().for_each(|page| texts(&page.items, &mut kept));
        let words: Vec<_> = words.into_iter().filter(|word| kept.contains(word.as_str())).collect();
        for written in [document.to_markdown(), document.to_html()] {
            assert!(missing(&words, &written).is_empty(), "{:?} of {soup}\n{written}", missing(&words, &written));
        }
    }
}

#[test]
fn cells_never_overlap() {
    let mut random = Random(2);
    for _ in 0..20_000 {
        let cells = ["<fcel>a", "<ecel>", "<lcel>", "<ucel>", "<xcel>", "<ched>b", "<nl>", "<nl>"];
        let tags: String = (0..random.below(40)).map(|_| cells[random.below(cells.len())]).collect();
        let document = Document::from_doctags(&format!("<otsl>{tags}</otsl>"));
        let Some(table) = &document.pages[0].items[0].table else { continue };
        let mut taken = vec![vec![false; table.columns]; table.rows];
        for cell in &table.cells {
            for row in &mut taken[cell.row..cell.row + cell.row_span] {
                for slot in &mut row[cell.column..cell.column + cell.column_span] {
                    assert!(!std::mem::replace(slot, true), "{tags}");
                }
            }
        }
    }
}

#[test]
fn written_doctags_are_stable() {
    let mut random = Random(3);
    for _ in 0..20_000 {
        let (soup, _) = soup(&mut random, false);
        let once = Document::from_doctags(&soup).to_doctags();
        let twice = Document::from_doctags(&once).to_doctags();
        assert_eq!(Document::from_doctags(&twice).to_doctags(), twice, "{soup}");
    }
}

#[test]
fn truncated_text_reads_like_its_beginning() {
    let full = "<doctag><title><loc_1><loc_2><loc_3><loc_4>One</title><text><loc_1><loc_2><loc_3><loc_4>Two three";
    // A bracket and one letter may be text.
    let is_short = |end: usize| full[..end].rfind('<').is_some_and(|start| end - start < 3);
    for end in (0..full.len()).filter(|&end| !is_short(end)) {
        let document = Document::from_doctags(&full[..end]);
        let markdown = document.to_markdown();
        assert!(!markdown.contains("&lt;t") && !markdown.contains("loc"), "{end}: {markdown}");
    }
}

#[test]
fn long_hostile_texts_take_linear_time() {
    let count = 200_000;
    let texts = [
        "<".repeat(count),
        "<loc_".repeat(count),
        "<unordered_list><list_item>".repeat(count / 20),
        "<inline>".repeat(count / 5),
        format!("<otsl>{}{}", "<lcel>".repeat(count / 5), "<nl><ucel>".repeat(count / 5)),
        format!("<otsl><fcel>{}{}", "x".repeat(count), "<lcel>".repeat(count / 5)),
        "<picture><otsl><fcel>".repeat(count / 20),
        "<text>".repeat(count / 5),
    ];
    for text in texts {
        let document = Document::from_doctags(&text);
        let written =
            [document.to_doctags(), document.to_markdown(), document.to_html(), document.to_docling_json("long")];
        let longest = written.iter().map(String::len).max().unwrap_or(0);
        // Pretty-printed JSON of an empty item has 400 bytes and more.
        assert!(longest < 200 * text.len(), "{longest} of {}: {}", text.len(), &text[..40]);
    }
}
