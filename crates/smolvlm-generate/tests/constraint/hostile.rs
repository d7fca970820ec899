//! Constraints that ask for more work or memory than a text is worth.

use crate::random_schema::Lcg;
use crate::support::{END, compiler};
use serde_json::{Map, Value, json};
use smolvlm_generate::{Constraint, Sampler, SamplingParams};
use std::time::{Duration, Instant};

/// Many times what an idle machine takes, because tests run beside others: what is not bounded takes longer.
const MAX_COMPILE: Duration = Duration::from_secs(12);
const MAX_STEP: Duration = Duration::from_secs(10);

fn nested(depth: usize, wrap: impl Fn(Value) -> Value) -> Value {
    (0..depth).fold(json!({"type": "null"}), |inner, _| wrap(inner))
}

fn schemas() -> Vec<(&'static str, Value)> {
    let wide: Map<String, Value> = (0..8000).map(|n| (format!("property{n}"), json!({"type": "string"}))).collect();
    let bomb: Map<String, Value> = (0..40)
        .map(|n| {
            let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
            (format!("d{n}"), json!({"type": "array", "prefixItems": [next, next, next], "minItems": 3}))
        })
        .chain([("d40".to_owned(), json!({"type": "null"}))])
        .collect();
    let alternatives = |n: usize| {
        let one = |k: usize| json!({"type": "object", "properties": {format!("p{n}"): {"const": k}}});
        json!({"anyOf": (0..12).map(one).collect::<Vec<_>>()})
    };
    vec![
        ("deep objects", nested(300, |inner| json!({"type": "object", "properties": {"a": inner}}))),
        ("deep allOf", nested(60, |inner| json!({"allOf": [inner]}))),
        ("deep anyOf", nested(14, |inner| json!({"anyOf": [inner, inner]}))),
        ("large enum", json!({"enum": (0..60_000).map(|n| format!("value {n}")).collect::<Vec<_>>()})),
        ("enum of 10000", json!({"enum": (0..10_000).map(|n| format!("v{n}")).collect::<Vec<_>>()})),
        ("wide object", json!({"type": "object", "properties": wide})),
        ("reference to itself", json!({"$ref": "#"})),
        (
            "reference in a circle",
            json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
        ),
        ("reference to itself in allOf", json!({"allOf": [{"$ref": "#"}, {"type": "object"}]})),
        ("exponential references", json!({"$defs": bomb, "$ref": "#/$defs/d0"})),
        ("product of alternatives", json!({"allOf": (0..12).map(alternatives).collect::<Vec<_>>()})),
        ("many items", json!({"type": "array", "items": {"type": "integer"}, "minItems": 100_000_000})),
        (
            "repeated arrays",
            nested(6, |inner| json!({"type": "array", "items": inner, "minItems": 1000, "maxItems": 1000})),
        ),
        ("long string", json!({"type": "string", "minLength": 2_000_000_000})),
        ("bounded string", json!({"type": "string", "maxLength": 1_000_000})),
        ("large quantifiers", json!({"type": "string", "pattern": "^((a{1000}){1000}){1000}$"})),
        ("nested quantifiers", json!({"type": "string", "pattern": "^(((a+)+)+)+b$"})),
        ("large states", json!({"type": "string", "pattern": "(a|b)*a(a|b){24}c"})),
        ("unicode classes", json!({"type": "string", "pattern": r"^(\p{L}{1,500}|\w{1,500})*$"})),
        ("disjoint patterns", {
            let patterns: Map<String, Value> =
                (0..40).map(|n| (format!("^(a|b)*a(a|b){{{n}}}$"), json!({"type": "null"}))).collect();
            json!({"type": "object", "patternProperties": patterns})
        }),
        ("multiples", json!({"type": "number", "multipleOf": 0.000_000_7, "minimum": 0, "maximum": 1e15})),
        ("minimum of 300 digits", json!({"type": "number", "minimum": -1.7e308, "maximum": 1.7e308})),
        (
            "intersected patterns",
            json!({"allOf": (0..200).map(|n| json!({"type": "string", "pattern": format!("a{n}")})).collect::<Vec<_>>()}),
        ),
        (
            "some intersected patterns",
            json!({"allOf": (0..8).map(|n| json!({"type": "string", "pattern": format!("a{n}")})).collect::<Vec<_>>()}),
        ),
        ("many properties", json!({"type": "object", "minProperties": 5000})),
    ]
}

fn others() -> Vec<(&'static str, Constraint)> {
    let lark = |text: String| Constraint::Lark(text);
    let chain = |first: &str, rule: &dyn Fn(usize) -> String| {
        (0..6000).fold(format!("start: {first}\n"), |text, n| text + &rule(n))
    };
    vec![
        ("regex of groups", Constraint::Regex("(".repeat(100_000) + &")".repeat(100_000))),
        ("regex of quantifiers", Constraint::Regex("((((a{99}){99}){99}){99}){99}".to_owned())),
        ("regex of alternatives", Constraint::Regex("(a|b|ab|ba)*".repeat(2000))),
        ("regex of states", Constraint::Regex("(a|b)*a(a|b){30}".to_owned())),
        ("regex of intersections", Constraint::Regex(format!("({})", ".*a.*|".repeat(3000)))),
        ("long regex", Constraint::Regex("a".repeat(250_000))),
        ("large constraint", Constraint::Regex("a".repeat(10_000_000))),
        ("many choices", Constraint::choices((0..40_000).map(|n| format!("{n:x}")))),
        ("terminals in a chain", lark(chain("T0", &|n| format!("T{n}: \"a\" T{}\n", n + 1)) + "T6000: \"a\"")),
        ("rules in a chain", lark(chain("r0", &|n| format!("r{n}: \"a\" r{}\n", n + 1)) + "r6000: \"a\"")),
        (
            "doubling rules",
            lark(
                (0..60).fold("start: r0\n".to_owned(), |text, n| text + &format!("r{n}: r{0} r{0}\n", n + 1))
                    + "r60: \"a\"",
            ),
        ),
        (
            "doubling terminals",
            lark(
                (0..60).fold("start: T0\n".to_owned(), |text, n| text + &format!("T{n}: T{0} T{0}\n", n + 1))
                    + "T60: \"a\"",
            ),
        ),
        ("intersected terminals", {
            let expressions: Vec<String> = (0..200).map(|n| format!("/.*a{n}.*/")).collect();
            lark(format!("start: T\nT: {}", expressions.join(" & ")))
        }),
        ("long chain of terminals", lark((0..9_000).map(|n| format!("T{n}: T{}\n", n + 1)).collect())),
        ("ambiguous grammar", lark("start: e\ne: e e | e e e | \"a\" | \"b\" | \"\"".to_owned())),
        ("endless recursion", lark("start: start".to_owned())),
        ("terminal of itself", lark("start: T\nT: T \"a\"".to_owned())),
        ("repeated rules", lark("start: (((\"a\" | \"b\"){1000}){1000}){1000}".to_owned())),
        ("grammar of brackets", lark(format!("start: {}\"a\"{}", "(".repeat(100_000), ")".repeat(100_000)))),
        ("schema in a grammar", lark(format!("start: %json {}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000)))),
        ("nested negation", lark(format!("start: T\nT: {}\"a\"", "~".repeat(5000)))),
        ("token ranges", lark("start: (<[0-4000000000]>)*".to_owned())),
    ]
}

/// Compilation ends within its time limit, and texts of what compiles are generated quickly.
#[test]
fn hostile_constraints_are_bounded() {
    let compiler = compiler();
    let schemas = schemas().into_iter().map(|(name, schema)| (name, Constraint::JsonSchema(schema)));
    let mut slow = Vec::new();
    for (name, constraint) in schemas.chain(others()) {
        let clock = Instant::now();
        let state = compiler.compile(&constraint, &[END], true);
        let compiled = clock.elapsed();
        let (mut worst, mut sampler) = (Duration::ZERO, Sampler::new(&SamplingParams::sampling().seed(1), 0));
        let outcome = state.as_ref().map_or_else(|error| error.to_string(), |_| "compiled".to_owned());
        let mut random = Lcg(7);
        if let Ok(mut state) = state {
            for _ in 0..100 {
                let clock = Instant::now();
                // The parser may give up at its limits.
                let Ok(mask) = state.mask() else { break };
                let mut logits: Vec<f32> = (0..=END).map(|_| random.below(1000) as f32 / 300.0).collect();
                let token = sampler.sample_masked(&[], 0, &mut logits, &mask).unwrap().token;
                if token == END || state.accept(token).is_err() || state.is_complete() {
                    break;
                }
                drop(state.forced());
                worst = worst.max(clock.elapsed());
            }
        }
        let outcome: String = outcome.chars().take(150).collect();
        println!("{name}: {compiled:?}, step {worst:?}: {outcome}");
        if compiled > MAX_COMPILE || worst > MAX_STEP {
            slow.push((name, compiled, worst));
        }
    }
    assert!(slow.is_empty(), "{slow:?}");
}
