//! `namespace` for chat templates, without the engine's way to crash.
//!
//! The engine's own namespace can hold itself, or lists nested as deep as the template cares to loop, and printing or
//! dropping such a value overflows the stack. Templates come with checkpoints, so that must be an error instead. This
//! namespace checks what it is given. The engine assigns only to its own type, so `{% set ns.x = value %}` is rewritten to
//! a method call before the template is compiled.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Enumerator, Kwargs, Object, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

/// How deep lists and maps in a namespace may nest.
const MAX_DEPTH: usize = 8;

/// The method that `{% set ns.x = value %}` becomes.
const ASSIGN: &str = "_assign";

#[derive(Debug, Default)]
struct Namespace(Mutex<BTreeMap<Arc<str>, Value>>);

impl Namespace {
    fn values(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn assign(&self, state: &State<'_, '_>, name: &str, value: Value) -> Result<(), Error> {
        admit(state, &value, MAX_DEPTH)?;
        self.values().insert(name.into(), value);
        Ok(())
    }
}

impl Object for Namespace {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.values().get(key.as_str()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.values().keys().cloned().map(Value::from).collect())
    }

    fn call_method(self: &Arc<Self>, state: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        if method != ASSIGN {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (name, value): (&str, Value) = from_args(args)?;
        self.assign(state, name, value)?;
        Ok(Value::UNDEFINED)
    }
}

/// The template function `namespace(key=value, ...)`.
pub(crate) fn namespace(state: &State<'_, '_>, values: Kwargs) -> Result<Value, Error> {
    let namespace = Namespace::default();
    for key in values.args().map(str::to_owned).collect::<Vec<_>>() {
        namespace.assign(state, &key, values.get(&key)?)?;
    }
    Ok(Value::from_object(namespace))
}

/// Scalars, and lists and maps of them to a small depth. Lazy objects are refused: they may lead back to the namespace.
fn admit(state: &State<'_, '_>, value: &Value, depth: usize) -> Result<(), Error> {
    let refuse = |what: &str| Err(Error::new(ErrorKind::InvalidOperation, format!("a namespace cannot hold {what}")));
    state.consume_fuel(1)?;
    match value.kind() {
        ValueKind::Undefined
        | ValueKind::None
        | ValueKind::Bool
        | ValueKind::Number
        | ValueKind::String
        | ValueKind::Bytes => Ok(()),
        _ if value.downcast_object_ref::<Namespace>().is_some() => refuse("a namespace"),
        ValueKind::Seq | ValueKind::Map if depth == 0 => refuse("lists or maps nested this deep"),
        ValueKind::Seq => value.try_iter()?.try_for_each(|item| admit(state, &item, depth - 1)),
        ValueKind::Map => value.try_iter()?.try_for_each(|key| {
            admit(state, &key, 0)?;
            admit(state, &value.get_item(&key)?, depth - 1)
        }),
        kind => refuse(&format!("{kind} values")),
    }
}

/// Rewrites `{% set name.attribute = value %}` tags to method calls; everything else, line breaks included, stays.
pub(crate) fn rewrite_assignments(source: &str) -> Cow<'_, str> {
    if !source.contains("namespace") {
        return Cow::Borrowed(source);
    }
    let mut out = String::with_capacity(source.len() + 64);
    let mut rest = source;
    while let Some((before, tag, after)) = next_tag(rest) {
        out.push_str(before);
        match assignment(tag) {
            Some(call) => out.push_str(&call),
            None => out.push_str(tag),
        }
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Splits at the next `{% .. %}`, `{{ .. }}`, `{# .. #}` or raw block; `None` when there is no whole one left.
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
        // Nothing inside a raw block is a tag: pass over it whole.
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

/// Where `close` begins, strings left out.
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

/// The method call for one `{% set a.b = value %}` tag; `None` for any other tag.
fn assignment(tag: &str) -> Option<String> {
    let inner = tag.strip_prefix("{%")?.strip_suffix("%}")?;
    let (open, inner) = trim_marker(inner, str::strip_prefix, ["-", "+"]);
    let (close, inner) = trim_marker(inner, str::strip_suffix, ["-", "+"]);
    let statement = inner.trim_start().strip_prefix("set")?;
    let (target, value) = statement.split_once('=')?;
    let (name, attribute) = target.split_once('.')?;
    let (name, attribute) = (name.strip_prefix(char::is_whitespace)?.trim(), attribute.trim());
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
    if value.starts_with('=') || !is_name(name) || !is_name(attribute) {
        return None;
    }
    // Line breaks before the value stay, so that error messages keep naming the right line.
    let breaks = "\n".repeat(inner.split_once('=')?.0.matches('\n').count());
    Some(format!("{{%{open}{breaks} do {name}.{ASSIGN}(\"{attribute}\", ({value})) {close}%}}"))
}

fn trim_marker<'a>(
    text: &'a str,
    strip: impl Fn(&'a str, &'static str) -> Option<&'a str>,
    markers: [&'static str; 2],
) -> (&'static str, &'a str) {
    markers.into_iter().find_map(|marker| strip(text, marker).map(|rest| (marker, rest))).unwrap_or(("", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dotted_assignments_are_rewritten() {
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
        ];
        for (source, wanted) in cases {
            let prefix = "{# namespace #}";
            assert_eq!(rewrite_assignments(&format!("{prefix}{source}")), format!("{prefix}{wanted}"));
        }
    }
}
