//! A `namespace` object for chat templates that cannot overflow the stack.
//!
//! The namespace of the template engine can contain itself, or lists of arbitrary nesting depth, and printing or
//! dropping such a value overflows the stack. Templates come from checkpoints, so this must be an error instead; this
//! namespace therefore validates assigned values. The engine supports assignment only to its own type, so `{% set ns.x
//! = value %}` is rewritten to a method call before the template is compiled (tags.rs).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::value::{Enumerator, Kwargs, Object, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};

/// Maximum nesting depth of lists and maps in a namespace.
const MAX_DEPTH: usize = 8;

/// The method that replaces `{% set ns.x = value %}`.
pub(crate) const ASSIGN: &str = "_assign";

#[derive(Debug, Default)]
struct Namespace(Mutex<BTreeMap<Arc<str>, Value>>);

impl Namespace {
    fn values(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn assign(&self, state: &State<'_, '_>, name: &str, value: Value) -> Result<(), Error> {
        check_storable(state, &value, MAX_DEPTH)?;
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

/// Accepts scalars, and lists and maps of them up to a small depth. Lazy objects are rejected, because they may refer
/// back to the namespace.
fn check_storable(state: &State<'_, '_>, value: &Value, depth: usize) -> Result<(), Error> {
    let reject = |what: &str| Err(Error::new(ErrorKind::InvalidOperation, format!("a namespace cannot hold {what}")));
    state.consume_fuel(1)?;
    match value.kind() {
        ValueKind::Undefined
        | ValueKind::None
        | ValueKind::Bool
        | ValueKind::Number
        | ValueKind::String
        | ValueKind::Bytes => Ok(()),
        _ if value.downcast_object_ref::<Namespace>().is_some() => reject("a namespace"),
        ValueKind::Seq | ValueKind::Map if depth == 0 => reject("lists or maps nested this deep"),
        ValueKind::Seq => value.try_iter()?.try_for_each(|item| check_storable(state, &item, depth - 1)),
        ValueKind::Map => value.try_iter()?.try_for_each(|key| {
            check_storable(state, &key, 0)?;
            check_storable(state, &value.get_item(&key)?, depth - 1)
        }),
        kind => reject(&format!("{kind} values")),
    }
}

/// Rewrites the statement ` set a.b = value ` to a method call; `None` for any other statement.
pub(crate) fn assignment(inner: &str) -> Option<String> {
    let statement = inner.trim_start().strip_prefix("set")?;
    let (target, value) = statement.split_once('=')?;
    let (name, attribute) = target.split_once('.')?;
    let (name, attribute) = (name.strip_prefix(char::is_whitespace)?.trim(), attribute.trim());
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_');
    if value.starts_with('=') || !is_name(name) || !is_name(attribute) {
        return None;
    }
    // Line breaks before the value are kept, so that the line numbers of errors stay correct.
    let breaks = "\n".repeat(inner.split_once('=')?.0.matches('\n').count());
    Some(format!("{breaks} do {name}.{ASSIGN}(\"{attribute}\", ({value})) "))
}
