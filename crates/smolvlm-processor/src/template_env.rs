//! The template engine, configured like Jinja2 in transformers (5.24.0, utils/chat_template_utils.py).

use chrono::Local;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

use crate::namespace::namespace;
use crate::tags::GENERATION;

/// Template variable with the markers that enclose the text of every `{% generation %}` block, or none.
pub(crate) const SPAN_MARKS: &str = "_span_marks";

/// Maximum nesting depth in `tojson`, which bounds the recursion depth.
const MAX_JSON_DEPTH: usize = 128;

/// Maximum recursion depth of macros, blocks and loops; well below the engine's own limit of 500, which takes megabytes
/// of stack.
const MAX_RECURSION: usize = 200;

/// An environment without templates.
pub(crate) fn environment(fuel: u64) -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    env.set_fuel(Some(fuel));
    env.set_recursion_limit(MAX_RECURSION);
    env.set_unknown_method_callback(python_method);
    env.add_filter("tojson", to_json);
    env.add_function("raise_exception", raise_exception);
    env.add_function("strftime_now", strftime_now);
    env.add_function("namespace", namespace);
    env.add_function(GENERATION, generation);
    Ok(env)
}

/// Renders the text of a `{% generation %}` block, which is rewritten to a call block of this function.
fn generation(state: &mut State<'_, '_>, values: Kwargs) -> Result<String, Error> {
    let block: Value = values.get("caller")?;
    let text = block.call(state, &[])?.to_string();
    state.consume_fuel(text.len() as u64 / 64)?;
    let marks = state.lookup(SPAN_MARKS).unwrap_or_default();
    match (marks.get_item_by_index(0), marks.get_item_by_index(1)) {
        (Ok(start), Ok(end)) if marks.is_true() => Ok(format!("{start}{text}{end}")),
        _ => Ok(text),
    }
}

fn raise_exception(message: &str) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.to_owned()))
}

fn strftime_now(format: &str) -> Result<String, Error> {
    use std::fmt::Write;
    let mut text = String::new();
    write!(text, "{}", Local::now().format(format))
        .map_err(|_| Error::new(ErrorKind::InvalidOperation, format!("strftime_now: bad format {format:?}")))?;
    Ok(text)
}

/// Implements methods of Python strings, lists and dicts.
fn python_method(state: &mut State<'_, '_>, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    // A method may copy its string several times, so the fuel is consumed first.
    if let Some(text) = value.as_str() {
        state.consume_fuel(text.len() as u64)?;
    }
    match (value.kind(), method) {
        // These two can multiply sizes; the engine's filters of the same name check the result size in advance.
        (ValueKind::String, "replace") => {
            let args: Vec<Value> = std::iter::once(value).chain(args).cloned().collect();
            state.apply_filter("replace", &args)
        }
        (ValueKind::String, "join") => {
            let mut args = args.to_vec();
            args.push(value.clone());
            state.apply_filter("join", &args)
        }
        // Field widths in a format string are unbounded.
        (ValueKind::String, "format") => Err(Error::from(ErrorKind::UnknownMethod)),
        _ => pycompat::unknown_method_callback(state, value, method, args),
    }
}

/// Python's `json.dumps` with the defaults of transformers. Jinja's own `tojson` escapes `<`, `>`, `&` and `'`.
fn to_json(
    state: &State<'_, '_>,
    value: &Value,
    ensure_ascii: Option<bool>,
    indent: Option<usize>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let ensure_ascii = kwargs.get::<Option<bool>>("ensure_ascii")?.or(ensure_ascii);
    let indent = kwargs.get::<Option<usize>>("indent")?.or(indent);
    let separators = kwargs.get::<Option<Vec<String>>>("separators")?;
    let sort_keys = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    kwargs.assert_all_used()?;
    let (item, key) = match separators.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => return Err(invalid("tojson: separators must be a pair of strings")),
        None => ((if indent.is_some() { "," } else { ", " }).to_owned(), ": ".to_owned()),
    };
    if indent.is_some_and(|indent| indent > 16) || item.len() + key.len() > 64 {
        return Err(invalid("tojson: indent or separators too long"));
    }
    let ensure_ascii = ensure_ascii.unwrap_or(false);
    let mut json = Json { state, out: String::new(), ensure_ascii, indent, item, key, sort_keys };
    json.value(value, 0)?;
    Ok(Value::from(json.out))
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

struct Json<'a, 'b, 'c> {
    state: &'a State<'b, 'c>,
    out: String,
    ensure_ascii: bool,
    indent: Option<usize>,
    item: String,
    key: String,
    sort_keys: bool,
}

impl Json<'_, '_, '_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.state.consume_fuel(1)?;
        if depth > MAX_JSON_DEPTH {
            return Err(invalid("tojson: nested too deep"));
        }
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.number(value),
            ValueKind::String => self.string(value.as_str().unwrap_or_default())?,
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.list('[', items, ']', depth, |json, item| json.value(&item, depth + 1))?;
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort_keys {
                    keys.sort();
                }
                self.list('{', keys, '}', depth, |json, key| {
                    json.string(&key.to_string())?;
                    json.out.push_str(&json.key.clone());
                    json.value(&value.get_item(&key)?, depth + 1)
                })?;
            }
            kind => {
                let message = format!("tojson: a value of type {kind} is not JSON");
                return Err(Error::new(ErrorKind::BadSerialization, message));
            }
        }
        Ok(())
    }

    fn list(
        &mut self,
        open: char,
        items: Vec<Value>,
        close: char,
        depth: usize,
        mut write: impl FnMut(&mut Self, Value) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.out.push(open);
        let empty = items.is_empty();
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.out.push_str(&self.item.clone());
            }
            self.line_break(depth + 1);
            write(self, item)?;
        }
        if !empty {
            self.line_break(depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn line_break(&mut self, depth: usize) {
        if let Some(indent) = self.indent {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    }

    fn number(&mut self, value: &Value) {
        let text = match f64::try_from(value.clone()) {
            Ok(float) if !value.is_integer() => python_float(float),
            _ => value.to_string(),
        };
        self.out.push_str(&text);
    }

    fn string(&mut self, text: &str) -> Result<(), Error> {
        self.state.consume_fuel(text.len() as u64 / 8)?;
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if c < ' ' || (self.ensure_ascii && !(' '..='~').contains(&c)) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        self.out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
        Ok(())
    }
}

/// `repr` of a Python float: the same as Rust's, except that the exponent has a sign and at least two digits.
fn python_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let text = format!("{value:?}");
    match text.split_once('e') {
        None => text,
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(rest) => ('-', rest),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
    }
}
