//! Random schemas of the supported kinds, whose JSON is short with random logits.

use crate::support::Lcg;
use serde_json::{Map, Value, json};

/// A random schema with definitions.
pub fn random_schema(random: &mut Lcg) -> Value {
    let mut schema = schema(random, 3);
    if let Value::Object(schema) = &mut schema {
        schema.insert("$defs".to_owned(), json!({"color": {"enum": ["red", "green", "blue"]}, "flag": {"type": "boolean"}}));
    }
    schema
}

fn schema(random: &mut Lcg, depth: usize) -> Value {
    match random.below(if depth == 0 { 7 } else { 11 }) {
        0 => string(random),
        1 => integer(random),
        2 => json!({"type": "number", "minimum": -1, "maximum": random.below(1000)}),
        3 => json!({"type": if random.is_chosen(2) { "boolean" } else { "null" }}),
        4 => json!({"enum": ["a", "ab", 1, 10, true, null, {"a": [1]}][..1 + random.below(7)]}),
        5 => json!({"const": [json!("x\n\"y\""), json!(-12.5), json!({"k": [1, "é"]})][random.below(3)]}),
        6 => json!({"$ref": if random.is_chosen(2) { "#/$defs/color" } else { "#/$defs/flag" }}),
        7 | 8 => object(random, depth),
        9 => array(random, depth),
        _ => json!({"anyOf": [schema(random, depth - 1), schema(random, depth - 1)]}),
    }
}

fn string(random: &mut Lcg) -> Value {
    match random.below(4) {
        0 => json!({"type": "string", "pattern": "^[a-c]{1,4}-[0-9]+x$"}),
        1 => json!({"type": "string", "format": (["date", "time", "ipv4", "uuid"][random.below(4)])}),
        _ => json!({"type": "string", "minLength": random.below(4), "maxLength": 4 + random.below(20)}),
    }
}

fn integer(random: &mut Lcg) -> Value {
    let minimum = random.below(200) as i64 - 100;
    json!({"type": "integer", "minimum": minimum, "maximum": minimum + random.below(5000) as i64})
}

fn object(random: &mut Lcg, depth: usize) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for name in ["name", "a", "ab", "größe", "\"quoted\"", "x y"] {
        if random.is_chosen(2) {
            properties.insert(name.to_owned(), schema(random, depth - 1));
            if random.is_chosen(2) {
                required.push(name);
            }
        }
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn array(random: &mut Lcg, depth: usize) -> Value {
    let min = random.below(3);
    let items = schema(random, depth - 1);
    if random.is_chosen(3) {
        return json!({"type": "array", "prefixItems": [items, {"type": "null"}], "items": false, "minItems": min});
    }
    json!({"type": "array", "items": items, "minItems": min, "maxItems": min + random.below(3)})
}
