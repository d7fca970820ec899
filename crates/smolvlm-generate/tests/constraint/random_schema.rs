//! Random schemas of the supported kinds, whose JSON is short with random logits.

use serde_json::{Map, Value, json};

/// A linear congruential generator, so that the inputs never change.
pub struct Lcg(pub u64);

impl Lcg {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    pub fn is_chosen(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}

/// A random schema with definitions.
pub fn random_schema(random: &mut Lcg) -> Value {
    let mut schema = schema(random, 3);
    if let Value::Object(schema) = &mut schema {
        schema.insert(
            "$defs".to_owned(),
            json!({"color": {"enum": ["red", "green", "blue"]}, "flag": {"type": "boolean"}}),
        );
    }
    schema
}

fn schema(random: &mut Lcg, depth: usize) -> Value {
    match random.below(if depth == 0 { 7 } else { 11 }) {
        0 => string(random),
        1 => integer(random),
        2 => json!({"type": "number", "minimum": -1, "maximum": random.below(1000)}),
        3 => json!({"type": if random.is_chosen(2) { "boolean" } else { "null" }}),
        4 => {
            let values = [json!("a"), json!("ab"), json!(1), json!(10), json!(true), json!(null), json!({"a": [1]})];
            json!({"enum": (values[..1 + random.below(7)])})
        }
        5 => {
            let values = [json!("x\n\"y\""), json!(-12.5), json!({"k": [1, "é"]})];
            json!({"const": (values[random.below(3)])})
        }
        6 => json!({"$ref": if random.is_chosen(2) { "#/$defs/color" } else { "#/$defs/flag" }}),
        7 | 8 => object(random, depth),
        9 => array(random, depth),
        _ => json!({"anyOf": [schema(random, depth - 1), schema(random, depth - 1)]}),
    }
}

fn string(random: &mut Lcg) -> Value {
    match random.below(4) {
        0 => json!({"type": "string", "pattern": "^[a-c]{1,4}-[0-9]{1,6}x$"}),
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
