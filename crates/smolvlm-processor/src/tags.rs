//! Rewriting of Jinja statements that the template engine does not support.

use std::borrow::Cow;

use crate::namespace;

/// The function called by the call block that replaces a `{% generation %}` block.
pub(crate) const GENERATION: &str = "_generation";

/// Rewrites statements that the engine does not support:
/// - `{% set name.attribute = value %}` to a call of [`namespace::ASSIGN`];
/// - `{% generation %}` and `{% endgeneration %}`, which mark the assistant's text, to a call block of [`GENERATION`];
///   transformers also uses a call block, so variables have the same scope.
///
/// Whitespace control, line breaks and all other text are kept, including comments, strings and raw blocks.
pub(crate) fn rewrite_tags(source: &str) -> Cow<'_, str> {
    if !source.contains("namespace") && !source.contains("generation") {
        return Cow::Borrowed(source);
    }
    let mut out = String::with_capacity(source.len() + 64);
    let mut rest = source;
    while let Some((before, tag, after)) = next_tag(rest) {
        out.push_str(before);
        match rewritten(tag) {
            Some(tag) => out.push_str(&tag),
            None => out.push_str(tag),
        }
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The replacement of a tag's statement; `None` if it is kept.
fn rewritten(tag: &str) -> Option<String> {
    let inner = tag.strip_prefix("{%")?.strip_suffix("%}")?;
    let (open, inner) = trim_marker(inner, str::strip_prefix);
    let (close, inner) = trim_marker(inner, str::strip_suffix);
    let statement = match inner.trim() {
        "generation" => inner.replace("generation", &format!("call {GENERATION}()")),
        "endgeneration" => inner.replace("endgeneration", "endcall"),
        _ => namespace::assignment(inner)?,
    };
    Some(format!("{{%{open}{statement}{close}%}}"))
}

/// Splits the whitespace control marker off one end of a tag.
fn trim_marker<'a>(text: &'a str, strip: impl Fn(&'a str, &'static str) -> Option<&'a str>) -> (&'static str, &'a str) {
    ["-", "+"].into_iter().find_map(|marker| strip(text, marker).map(|rest| (marker, rest))).unwrap_or(("", text))
}

/// Splits at the next `{% .. %}`, `{{ .. }}`, `{# .. #}` or raw block; `None` if there is no complete one left.
fn next_tag(source: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    let (start, close) = loop {
        let start = from + source.get(from..)?.find('{')?;
        match source.as_bytes().get(start + 1) {
            Some(b'%') => break (start, "%}"),
            Some(b'{') => break (start, "}}"),
            Some(b'#') => break (start, "#}"),
            _ => from = start + 1,
        }
    };
    let body = source.get(start + 2..)?;
    let mut length = match close {
        "#}" => body.find(close)?,
        _ => end_outside_strings(body, close)?,
    } + close.len();
    if close == "%}" && words(body.get(..length)?).next() == Some("raw") {
        // Tags inside a raw block are text, so the whole block is skipped.
        let end = body.match_indices("{%").find_map(|(at, _)| {
            let tag = body.get(at..)?;
            (words(tag.get(2..)?).next()? == "endraw").then_some(at + tag.find("%}")? + 2)
        })?;
        length = end;
    }
    let end = start + 2 + length;
    Some((source.get(..start)?, source.get(start..end)?, source.get(end..)?))
}

fn words(tag: &str) -> impl Iterator<Item = &str> {
    tag.trim_start_matches(['-', '+']).split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty())
}

/// Start of the first `close` outside of string literals.
fn end_outside_strings(body: &str, close: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if body.get(at..)?.starts_with(close) => return Some(at),
            None => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unsupported_tags_are_rewritten() {
        let cases = [
            ("{% set x = 1 %}", "{% set x = 1 %}"),
            ("{% set ns.x = 1 %}", "{% do ns._assign(\"x\", ( 1 )) %}"),
            ("{%- set ns.x = a == b -%}", "{%- do ns._assign(\"x\", ( a == b )) -%}"),
            ("{% set ns.x = '%}' %}", "{% do ns._assign(\"x\", ( '%}' )) %}"),
            ("{% set\nns.x = 1 %}", "{%\n do ns._assign(\"x\", ( 1 )) %}"),
            ("{# {% set ns.x = 1 %} #}", "{# {% set ns.x = 1 %} #}"),
            ("{% raw %}{% set ns.x = 1 %}{% endraw %}", "{% raw %}{% set ns.x = 1 %}{% endraw %}"),
            ("{{ '{% set ns.x = 1 %}' }}", "{{ '{% set ns.x = 1 %}' }}"),
            ("{% if a.b == 1 %}", "{% if a.b == 1 %}"),
            ("{% set ns.x %}", "{% set ns.x %}"),
            ("{ {% set ns.x = 1", "{ {% set ns.x = 1"),
            ("{% generation %}a{% endgeneration %}", "{% call _generation() %}a{% endcall %}"),
            ("{%- generation -%}a{%-endgeneration+%}", "{%- call _generation() -%}a{%-endcall+%}"),
            ("{%+ generation\n%}", "{%+ call _generation()\n%}"),
            ("{% if generation %}{% set generation = 1 %}", "{% if generation %}{% set generation = 1 %}"),
            ("{{ generation }}{# {% generation %} #}", "{{ generation }}{# {% generation %} #}"),
            ("{{ \"{% generation %}\" }}", "{{ \"{% generation %}\" }}"),
            ("{%- raw %}{% generation %}{% endraw -%}", "{%- raw %}{% generation %}{% endraw -%}"),
        ];
        for (source, wanted) in cases {
            let prefix = "{# namespace #}";
            assert_eq!(rewrite_tags(&format!("{prefix}{source}")), format!("{prefix}{wanted}"));
        }
    }
}
