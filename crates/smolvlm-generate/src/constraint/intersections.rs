//! Number of schemas that a value must match at the same time.

use serde_json::{Deserializer, Value};
use std::collections::BTreeSet;

/// An upper bound of the number of schemas of `allOf` that are intersected, without those that properties refer to;
/// more than `max` if it is exceeded.
pub(super) fn in_schema(schema: &Value, max: usize) -> usize {
    Search { root: schema, max, seen: BTreeSet::new() }.intersected(schema, 1, 1)
}

/// [`in_schema`] for the schemas in a Lark grammar.
pub(super) fn in_grammar(lark: &str, max: usize) -> usize {
    const JSON: &str = "%json";
    let (mut rest, mut most) = (lark, 1);
    while let Some(at) = rest.find(JSON) {
        rest = &rest[at + JSON.len()..];
        let mut values = Deserializer::from_str(rest).into_iter::<Value>();
        // A literal with this text is no schema.
        if rest.trim_start().starts_with('{')
            && let Some(Ok(schema)) = values.next()
        {
            most = most.max(in_schema(&schema, max));
            rest = &rest[values.byte_offset()..];
        }
    }
    most
}

struct Search<'a> {
    root: &'a Value,
    max: usize,
    /// References that have been followed, with the number of schemas that are intersected with them.
    seen: BTreeSet<(&'a str, usize)>,
}

impl<'a> Search<'a> {
    /// The largest number in a schema that is intersected with others: `outer` in all, of which `same` refer to the
    /// same value as this schema and not to one that contains it.
    fn intersected(&mut self, schema: &'a Value, outer: usize, same: usize) -> usize {
        let map = match schema {
            Value::Object(map) => map,
            Value::Array(list) => {
                return list.iter().map(|inner| self.intersected(inner, outer, same)).max().unwrap_or(outer);
            }
            _ => return outer,
        };
        let members = map.get("allOf").and_then(Value::as_array).map_or(1, |list| list.len().max(1));
        let (outer, same) = (outer.saturating_mul(members), same.saturating_mul(members));
        if outer > self.max {
            return outer;
        }
        let mut most = outer;
        for (key, inner) in map {
            most = most.max(match (key.as_str(), inner) {
                ("$ref", Value::String(reference)) if same > 1 => self.referenced(reference, same),
                ("allOf" | "anyOf" | "oneOf", _) => self.intersected(inner, outer, same),
                // Not part of the schema that contains them.
                ("$defs" | "definitions", _) => self.intersected(inner, 1, 1),
                _ => self.intersected(inner, outer, 1),
            });
        }
        most
    }

    fn referenced(&mut self, reference: &'a str, same: usize) -> usize {
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        match target {
            Some(schema) if self.seen.insert((reference, same)) => self.intersected(schema, same, same),
            _ => same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn intersections_are_multiplied_along_schemas() {
        let list = |count: usize, inner: Value| json!({"allOf": vec![inner; count]});
        let text = json!({"type": "string", "pattern": "a"});
        let recursive = list(2, json!({"properties": {"next": {"$ref": "#"}}}));
        for (schema, expected) in [
            (json!(true), 1),
            (text.clone(), 1),
            (list(5, text.clone()), 5),
            (list(9, text.clone()), 9),
            (list(2, json!({"anyOf": [list(3, text.clone()), text]})), 6),
            (list(2, json!({"properties": {"a": list(4, json!({}))}})), 8),
            (json!({"properties": {"a": list(2, json!({})), "b": list(3, json!({}))}}), 3),
            (json!({"$defs": {"a": list(3, json!({}))}, "allOf": vec![json!({"$ref": "#/$defs/a"}); 2]}), 6),
            (recursive, 2),
        ] {
            assert_eq!(in_schema(&schema, 8), expected, "{schema}");
            assert_eq!(in_grammar(&format!("start: \"%json\" %json {schema} | %json {{}}"), 8), expected);
        }
        assert!(in_schema(&json!({"allOf": [{"$ref": "#"}, {"type": "object"}]}), 8) > 8);
        assert_eq!(in_grammar("start: %json {", 8), 1);
    }
}
