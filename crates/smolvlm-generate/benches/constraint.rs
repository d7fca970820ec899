//! Masks of constraints for a vocabulary of the 256M model's size:
//! `cargo bench -p smolvlm-generate --features constrain --bench constraint`.

use divan::Bencher;
use serde_json::{Value, json};
use smolvlm_generate::{Constraint, ConstraintCompiler, ConstraintState, Vocabulary};
use std::sync::LazyLock;

fn main() {
    divan::main();
}

/// Bytes, and words of 2 to 6 letters.
const SIZE: u32 = 49_280;
const END: u32 = SIZE - 1;

static COMPILER: LazyLock<ConstraintCompiler> = LazyLock::new(|| ConstraintCompiler::new(vocabulary()).unwrap());

fn vocabulary() -> Vocabulary {
    let mut vocabulary = Vocabulary::new(SIZE as usize);
    for token in 0..END {
        if let Ok(byte) = u8::try_from(token) {
            vocabulary.set_text(token, [byte]);
            continue;
        }
        let letters =
            (0..2 + token % 5).map(|place| b'a' + (token.wrapping_mul(2_654_435_761) >> (5 * place)) as u8 % 26);
        let space = (token % 2 == 0).then_some(b' ');
        vocabulary.set_text(token, space.into_iter().chain(letters).collect::<Vec<u8>>());
    }
    vocabulary.set_special(END, "<end>");
    vocabulary.with_tokenizer(|text| Some(text.bytes().map(u32::from).collect()))
}

fn schema() -> Constraint {
    Constraint::JsonSchema(json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 40},
            "items": {"type": "array", "items": {"type": "object", "properties": {"price": {"type": "number"}}}},
        },
        "required": ["name"],
    }))
}

fn state(text: &str) -> ConstraintState {
    let mut state = COMPILER.compile(&schema(), &[END], true).unwrap();
    text.bytes().for_each(|byte| state.accept(u32::from(byte)).unwrap());
    state
}

#[divan::bench]
fn vocabulary_of_49280_tokens(bencher: Bencher<'_, '_>) {
    bencher.with_inputs(vocabulary).bench_local_values(ConstraintCompiler::new);
}

#[divan::bench]
fn compile(bencher: Bencher<'_, '_>) {
    LazyLock::force(&COMPILER);
    let mut number = 0;
    // Compiled constraints are kept, so each one is new.
    let mut other_schema = || {
        number += 1;
        let mut schema = schema();
        if let Constraint::JsonSchema(Value::Object(words)) = &mut schema {
            words.insert("title".to_owned(), number.into());
        }
        schema
    };
    bencher.bench_local(|| COMPILER.compile(&other_schema(), &[END], true));
}

/// One of the last constraints.
#[divan::bench]
fn compile_again(bencher: Bencher<'_, '_>) {
    LazyLock::force(&COMPILER);
    bencher.bench_local(|| COMPILER.compile(&schema(), &[END], true));
}

/// At the start, in a string, and in a number.
#[divan::bench(args = ["", r#"{"name": ""#, r#"{"name": "a long name"#, r#"{"name": "a", "items": [{"price": 12"#])]
fn mask_and_its_use(bencher: Bencher<'_, '_>, text: &str) {
    let inputs = || (state(text), vec![0.5_f32; SIZE as usize]);
    bencher.with_inputs(inputs).bench_local_refs(|(state, logits)| state.mask().unwrap().apply(logits));
}
