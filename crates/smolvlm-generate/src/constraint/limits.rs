//! Limits on constraints, which may come from clients.

use super::{Constraint, intersections, lark};
use crate::Error;
use llguidance::api::ParserLimits;
use serde_json::Value;
use std::time::Duration;

/// Maximum time of a compilation.
pub(super) const COMPILE_TIME: Duration = Duration::from_secs(10);
/// Maximum number of compilations at a time, among them those that have exceeded their time.
pub(super) const MAX_COMPILATIONS: usize = 2;
/// Maximum time to wait for other compilations. Common constraints take a few milliseconds.
pub(super) const SLOT_TIME: Duration = Duration::from_secs(1);
/// Maximum size of a constraint in bytes.
const MAX_BYTES: usize = 128 << 10;
/// Maximum nesting of a constraint, far below what the stack of a compilation holds.
const MAX_NESTING: usize = 64;
/// Maximum size of the terminals of a grammar with all that they refer to.
const MAX_EXPANDED: usize = 100_000;
/// Maximum number of schemas or expressions that a text must match at the same time. The number of states of their
/// intersection is exponential in it.
const MAX_INTERSECTED: usize = 8;

/// Limits of the parser. A mask takes about 3 us per item, 15 ms at most for the items.
pub(super) fn parser_limits() -> ParserLimits {
    ParserLimits {
        max_items_in_row: 2000,
        initial_lexer_fuel: 500_000,
        step_lexer_fuel: 100_000,
        step_max_items: 5_000,
        max_lexer_states: 20_000,
        max_grammar_size: 200_000,
        precompute_large_lexemes: false,
        verbose_errors: false,
    }
}

/// Checks a constraint before it is compiled.
pub(super) fn check(constraint: &Constraint) -> Result<(), Error> {
    check_size(constraint)?;
    let intersected = match constraint {
        Constraint::JsonSchema(schema) => intersections::in_schema(schema, MAX_INTERSECTED),
        Constraint::Lark(text) => {
            let grammar = lark::Terminals::new(text);
            if grammar.expanded_size() > MAX_EXPANDED {
                return Err(Error::constraint("has terminals that refer to each other too often; use rules instead"));
            }
            grammar.intersected().max(intersections::in_grammar(text, MAX_INTERSECTED))
        }
        Constraint::Regex(_) | Constraint::Choices(_) => 1,
    };
    if intersected > MAX_INTERSECTED {
        let message = format!("intersects more than {MAX_INTERSECTED} schemas or expressions (allOf, &)");
        return Err(Error::constraint(message));
    }
    Ok(())
}

/// Checks the size and nesting of a constraint.
pub(super) fn check_size(constraint: &Constraint) -> Result<(), Error> {
    let (bytes, nesting) = match constraint {
        Constraint::JsonSchema(schema) => (schema_bytes(schema, 0), schema_nesting(schema, 0)),
        Constraint::Regex(text) | Constraint::Lark(text) => (text.len(), text_nesting(text)),
        Constraint::Choices(choices) => (choices.iter().map(|choice| choice.len() + 1).sum(), 0),
    };
    if nesting > MAX_NESTING {
        return Err(Error::constraint(format!("is nested more than {MAX_NESTING} levels deep")));
    }
    if bytes > MAX_BYTES {
        return Err(Error::constraint(format!("has {bytes} bytes; at most {MAX_BYTES} are allowed")));
    }
    Ok(())
}

/// The nesting of a schema, at most one above the limit.
fn schema_nesting(value: &Value, depth: usize) -> usize {
    if depth > MAX_NESTING {
        return depth;
    }
    let inner = |value: &Value| schema_nesting(value, depth + 1);
    match value {
        Value::Array(list) => list.iter().map(inner).max().unwrap_or(depth),
        Value::Object(map) => map.values().map(inner).max().unwrap_or(depth),
        _ => depth,
    }
}

/// Roughly the length of a schema in JSON, down to the maximum nesting.
fn schema_bytes(value: &Value, depth: usize) -> usize {
    if depth > MAX_NESTING {
        return 0;
    }
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(list) => list.iter().map(|value| schema_bytes(value, depth + 1) + 1).sum::<usize>() + 2,
        Value::Object(map) => {
            map.iter().map(|(key, value)| key.len() + 4 + schema_bytes(value, depth + 1)).sum::<usize>() + 2
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 4,
    }
}

/// An upper bound of the nesting of a grammar or regular expression.
fn text_nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
