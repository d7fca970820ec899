//! Constrained output with random logits on a small byte-level vocabulary.

#[path = "constraint/hostile.rs"]
mod hostile;
#[path = "constraint/random_schema.rs"]
mod random_schema;
#[path = "constraint/support.rs"]
mod support;

use random_schema::{Lcg, random_schema};
use serde_json::{Value, json};
use smolvlm_generate::{Constraint, ConstraintCompiler, Error, Sampler, SamplingParams, Vocabulary};
use support::{END, IMAGE, Mode, Run, compiler, generate, vocabulary};

fn is_valid(schema: &Value, text: &str) -> bool {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    jsonschema::validator_for(schema).unwrap().is_valid(&value)
}

#[test]
fn json_of_random_schemas_is_valid() {
    let compiler = compiler();
    for seed in 0..400 {
        let mut random = Lcg(seed);
        let schema = random_schema(&mut random);
        let constraint = Constraint::JsonSchema(schema.clone());
        for mode in Mode::ALL {
            let run = generate(&compiler, &constraint, mode, seed);
            assert!(is_valid(&schema, &run.text), "seed {seed}, {mode:?}: {schema} gives {}", run.text);
        }
    }
}

#[test]
fn properties_have_the_order_and_spaces_of_the_schema() {
    let schema = json!({
        "type": "object",
        "properties": {"b": {"const": 1}, "a": {"const": [true, null]}},
        "required": ["b", "a"],
        "additionalProperties": false,
    });
    let run = generate(&compiler(), &Constraint::JsonSchema(schema), Mode::Sampling, 3);
    assert_eq!(run.text, r#"{"b": 1, "a": [true, null]}"#);
}

#[test]
fn references_within_the_schema_are_followed() {
    let schema = json!({
        "$defs": {"tree": {
            "type": "object",
            "properties": {
                "leaf": {"type": "boolean"},
                "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
            },
            "required": ["leaf", "next"],
            "additionalProperties": false,
        }},
        "$ref": "#/$defs/tree",
    });
    for seed in 0..20 {
        let run = generate(&compiler(), &Constraint::JsonSchema(schema.clone()), Mode::Sampling, seed);
        assert!(is_valid(&schema, &run.text), "{}", run.text);
    }
}

#[test]
fn texts_match_regular_expressions() {
    let compiler = compiler();
    for regex in [
        r"[0-9]{3}-[0-9]{4}",
        r"^(red|green|blue)( (car|bus))?$",
        r"(?:[a-f]{2}:){3}[a-f]{2}",
        r"a/b\\[xyz]{1,4}\$",
        r"[0-9]{1,3}\.[0-9]{2} (EUR|USD)",
        r"[äöü]{2,5}",
        r"(ab?c){2,4}|x",
    ] {
        let schema = json!({"pattern": format!("^(?:{})$", regex.trim_start_matches('^').trim_end_matches("o$"))});
        for (mode, seed) in Mode::ALL.into_iter().zip(0..) {
            let run = generate(&compiler, &Constraint::Regex(regex.to_owned()), mode, seed);
            let text = Value::String(run.text.clone());
            assert!(jsonschema::is_valid(&schema, &text), "{regex} gives {}", run.text);
        }
    }
}

#[test]
fn verbose_expressions_have_comments() {
    let run = generate(&compiler(), &Constraint::Regex("(?x)a b # c".to_owned()), Mode::Greedy, 1);
    assert_eq!(run.text, "ab");
}

#[test]
fn texts_are_one_of_the_choices() {
    let choices = ["1", "10", "a \"quoted\" one", "two\nlines", "日本", "\u{7f}"];
    let compiler = compiler();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let run = generate(&compiler, &Constraint::choices(choices), Mode::Sampling, seed);
        assert!(choices.contains(&run.text.as_str()), "{}", run.text);
        seen.insert(run.text);
    }
    assert!(seen.len() >= 4, "{seen:?}");
}

#[test]
fn texts_belong_to_the_grammar() {
    let lark = "start: sum\nsum: NUMBER (\"+\" NUMBER)*\nNUMBER: /[1-9][0-9]?/";
    let schema = json!({"pattern": "^[1-9][0-9]?([+][1-9][0-9]?)*$"});
    for seed in 0..30 {
        let run = generate(&compiler(), &Constraint::Lark(lark.to_owned()), Mode::Sampling, seed);
        assert!(jsonschema::is_valid(&schema, &json!(run.text)), "{}", run.text);
    }
}

#[test]
fn end_token_is_allowed_where_the_text_may_end() {
    let constraint = Constraint::choices(["1", "10"]);
    let mut state = compiler().compile(&constraint, &[END], false).unwrap();
    assert!(!state.mask().unwrap().allows(END));
    assert!(state.accept(END).is_err());
    let mut state = compiler().compile(&constraint, &[END], false).unwrap();
    state.accept(u32::from(b'1')).unwrap();
    let mask = state.mask().unwrap();
    let allowed: Vec<u32> = (0..vocabulary().len() as u32).filter(|&token| mask.allows(token)).collect();
    assert_eq!(allowed, [u32::from(b'0'), END]);
    assert!(!state.is_complete());
    let mut ended = state.clone();
    ended.accept(END).unwrap();
    state.accept(u32::from(b'0')).unwrap();
    assert!(state.is_complete());
    assert!(state.forced().is_empty());
    assert!(state.mask().unwrap().allows(END));
}

#[test]
fn texts_may_start_with_a_space_if_requested() {
    let schema = Constraint::JsonSchema(json!({"enum": ["x"]}));
    for constraint in [schema, Constraint::choices(["x"]), Constraint::Regex("^x+$".to_owned())] {
        for leading_space in [false, true] {
            let mut state = compiler().compile(&constraint, &[END], leading_space).unwrap();
            assert_eq!(state.mask().unwrap().allows(u32::from(b' ')), leading_space);
        }
    }
    let starts = |seed| {
        let state = compiler().compile(&Constraint::choices(["x"]), &[END], true).unwrap();
        Run::of(state, Mode::Sampling, seed).text
    };
    let texts: Vec<String> = (0..20).map(starts).collect();
    assert!(texts.iter().all(|text| text.trim_start() == "x"), "{texts:?}");
}

#[test]
fn forced_tokens_are_those_that_steps_select() {
    let schema = json!({
        "type": "object",
        "properties": {"description": {"enum": ["a long constant text", "a long other text"]}, "x": {"type": "null"}},
        "required": ["description", "x"],
        "additionalProperties": false,
    });
    let constraint = Constraint::JsonSchema(schema);
    for seed in 0..20 {
        let [forced, stepped] = [Mode::Forced, Mode::Greedy].map(|mode| generate(&compiler(), &constraint, mode, seed));
        assert!(forced.forced > 3 && stepped.forced == 0);
        assert_eq!(forced.tokens, stepped.tokens);
        assert!(forced.tokens.len() < forced.text.len(), "forced text is tokenized like other text");
    }
}

#[test]
fn special_tokens_are_only_generated_if_the_grammar_names_them() {
    let text = Constraint::Regex("[^x]{1,10}".to_owned());
    let mut state = compiler().compile(&text, &[END], false).unwrap();
    let mask = state.mask().unwrap();
    assert!(!mask.allows(IMAGE) && !mask.allows(0xFF) && mask.allows(u32::from(b'<')));
    let lark = Constraint::Lark("start: <image> \"a\"".to_owned());
    let mut state = compiler().compile(&lark, &[END], false).unwrap();
    assert!(state.mask().unwrap().allows(IMAGE));
    state.accept(IMAGE).unwrap();
    assert!(!state.mask().unwrap().allows(IMAGE));
    // Text that looks like a special token is text.
    let run = generate(&compiler(), &Constraint::choices(["<image>"]), Mode::Forced, 1);
    assert!(run.text == "<image>" && !run.tokens.contains(&IMAGE));
}

#[test]
fn unsupported_and_invalid_constraints_say_why() {
    let schema = Constraint::JsonSchema;
    for (constraint, expected) in [
        (schema(json!({"type": "array", "uniqueItems": true})), "uniqueItems"),
        (schema(json!({"type": "object", "properties": {"a": {"not": {"type": "null"}}}})), "\"not\""),
        (schema(json!({"if": {}, "then": {}, "else": {}})), "\"if\""),
        (schema(json!({"type": "text"})), "text"),
        (schema(json!({"type": "string", "pattern": "("})), "("),
        (schema(json!({"type": "integer", "minimum": 3, "maximum": 2})), "minimum"),
        (schema(json!(3)), "is not a JSON schema"),
        (schema(json!(false)), "allows no text"),
        (schema(json!({"$ref": "https://example.com/schema"})), "example.com"),
        (Constraint::Regex("(a".to_owned()), "(a"),
        (Constraint::Regex(r"(a)\1".to_owned()), "backreference"),
        (Constraint::Regex("a)(b".to_owned()), "\"a)(b\": unopened group"),
        (Constraint::Lark("begin: \"a\"".to_owned()), "start"),
        (Constraint::Lark("start: missing".to_owned()), "missing"),
        (Constraint::choices(Vec::<String>::new()), "no choices"),
        (Constraint::choices(["a", ""]), "empty choice at index 1"),
    ] {
        let error = compiler().compile(&constraint, &[END], false).unwrap_err().to_string();
        assert!(error.starts_with("the constraint ") && error.contains(expected), "{expected}: {error}");
        assert!(!error.contains("<state>") && !error.contains("<non-verbose") && error.len() < 1000, "{error}");
    }
}

#[test]
fn suppressed_tokens_that_the_constraint_needs_are_an_error() {
    let params = SamplingParams::greedy().suppress_tokens([u32::from(b'a')]);
    let mut state = compiler().compile(&Constraint::choices(["a"]), &[END], false).unwrap();
    let mask = state.mask().unwrap();
    let mut logits = vec![0.0; vocabulary().len()];
    let choice = Sampler::new(&params, 0).sample_masked(&[], 0, &mut logits, &mask);
    assert!(matches!(choice, Err(Error::NoToken { .. })));
}

#[test]
fn vocabularies_without_text_allow_nothing() {
    let compiler = ConstraintCompiler::new(Vocabulary::new(10)).unwrap();
    let error = compiler.compile(&Constraint::choices(["a"]), &[1], false).unwrap_err();
    assert_eq!(error.to_string(), "the constraint allows no text");
}

#[test]
fn tokens_of_other_texts_are_not_forced() {
    let lossy = vocabulary().with_tokenizer(|text| Some(text.bytes().skip(1).map(u32::from).collect()));
    let compiler = ConstraintCompiler::new(lossy).unwrap();
    let run = generate(&compiler, &Constraint::choices(["constant"]), Mode::Forced, 1);
    assert_eq!(run.text, "constant");
}

#[test]
fn refused_tokens_say_why() {
    let mut state = compiler().compile(&Constraint::choices(["a"]), &[END], false).unwrap();
    let error = state.accept(u32::from(b'b')).unwrap_err().to_string();
    assert!(error.starts_with("the constraint does not allow token 98: "), "{error}");
}
