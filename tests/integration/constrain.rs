//! Constrained answers of the demo model.

#[path = "../../crates/smolvlm-generate/tests/constraint/random_schema.rs"]
mod random_schema;

use random_schema::{Lcg, random_schema};
use serde_json::{Value, json};
use smolvlm::{Constraint, Dtype, Error, Event, FinishReason, Message, Options, SamplingParams, SmolVlm, Source};
use std::sync::Mutex;
use std::time::Duration;

/// Threads that ask the model at the same time.
const CLIENTS: u64 = 16;
/// More tokens than the JSON of a random schema has.
const MAX_TOKENS: usize = 1000;

fn models() -> [(Dtype, SmolVlm); 2] {
    [Dtype::F32, Dtype::Q8].map(|dtype| {
        let options = Options { dtype, ..Options::default() };
        (dtype, SmolVlm::load(Source::Demo, options).unwrap())
    })
}

fn question() -> Message {
    Message::user().text("How many circles are there?")
}

fn params(constraint: Constraint) -> SamplingParams {
    SamplingParams::greedy().max_new_tokens(MAX_TOKENS).constraint(constraint)
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "description": {"type": "string", "maxLength": 30},
            "shapes": {"type": "array", "maxItems": 3, "items": {
                "type": "object",
                "properties": {
                    "shape": {"enum": ["circle", "square"]},
                    "count": {"type": "integer", "maximum": 9, "minimum": 0},
                },
                "required": ["shape", "count"],
                "additionalProperties": false,
            }},
        },
        "required": ["description", "shapes"],
        "additionalProperties": false,
    })
}

fn assert_valid(schema: &Value, text: &str) {
    let value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(jsonschema::is_valid(schema, &value), "{schema} gives {text}");
}

#[test]
fn answers_match_each_kind_of_constraint() {
    for (dtype, model) in models() {
        let answer = |constraint: Constraint| {
            let answer = model.generate(question(), params(constraint)).unwrap();
            assert!(
                matches!(answer.finish_reason, FinishReason::Complete | FinishReason::Eos),
                "{dtype:?}: {answer:?}"
            );
            answer.text().to_owned()
        };
        assert_valid(&schema(), &answer(Constraint::JsonSchema(schema())));
        let code = json!({"pattern": "^[A-Z]{2}-[0-9]{3}$"});
        assert!(jsonschema::is_valid(&code, &json!(answer(Constraint::Regex("[A-Z]{2}-[0-9]{3}".to_owned())))));
        assert!(["left", "right"].contains(&answer(Constraint::choices(["left", "right"])).as_str()));
        let lark = "start: item (\", \" item)\nitem: (\"a\" | \"b\") \" \" /[0-9]/";
        let list = json!({"pattern": "^[ab] [0-9], [ab] [0-9]$"});
        assert!(jsonschema::is_valid(&list, &json!(answer(Constraint::Lark(lark.to_owned())))));
    }
}

#[test]
fn several_and_sampled_answers_match_on_their_own() {
    let (_, model) = models().into_iter().next().unwrap();
    let constraint = Constraint::JsonSchema(schema());
    let sampled = params(constraint).do_sample(true).seed(5).temperature(1.5).num_return_sequences(4);
    let answers = model.generate_all(question(), sampled.clone()).unwrap();
    let texts: std::collections::BTreeSet<&str> = answers.iter().map(|answer| answer.text()).collect();
    assert!(texts.len() > 1, "{texts:?}");
    texts.iter().for_each(|text| assert_valid(&schema(), text));
    // The same beside other requests.
    let batch = model.batch(&[question().into(), question().into()], sampled).unwrap();
    assert_eq!(batch.len(), 8);
    batch.iter().for_each(|answer| assert_valid(&schema(), answer.text()));
    assert_eq!(batch[0].text, answers[0].text);
}

#[test]
fn forced_tokens_change_neither_text_nor_stream() {
    let (_, model) = models().into_iter().next().unwrap();
    let params = params(Constraint::JsonSchema(schema()));
    let answer = model.generate(question(), params.clone()).unwrap();
    assert!(answer.timings.decode_steps + 5 < answer.token_ids.len(), "no token was forced: {answer:?}");
    // Log-probabilities need a step per token.
    let stepped = model.generate(question(), params.clone().logprobs(0)).unwrap();
    assert_eq!((&stepped.text, &stepped.token_ids), (&answer.text, &answer.token_ids));
    assert_eq!(stepped.logprobs.len(), stepped.token_ids.len());
    let (mut text, mut last) = (String::new(), None);
    for event in model.stream(question(), params.clone()).unwrap() {
        match event.unwrap() {
            Event::Text(delta) => text += &delta,
            Event::Finished(finished) => last = Some(finished),
            _ => {}
        }
    }
    assert_eq!((&text, &last.unwrap().token_ids), (&answer.text, &answer.token_ids));
    // Limits hold within forced tokens.
    for count in 1..answer.token_ids.len() {
        let short = model.generate(question(), params.clone().max_new_tokens(count)).unwrap();
        assert_eq!(short.token_ids, answer.token_ids[..count]);
        assert_eq!(short.finish_reason, FinishReason::Length);
    }
    let stopped = model.generate(question(), params.stop_strings(["shapes"])).unwrap();
    assert_eq!(stopped.finish_reason, FinishReason::StopString);
    assert!(stopped.text.contains("shapes") && answer.text.starts_with(&stopped.text));
}

#[test]
fn constraints_that_cannot_be_used_are_errors_of_the_input() {
    let (_, model) = models().into_iter().next().unwrap();
    for constraint in [Constraint::JsonSchema(json!({"not": {}})), Constraint::Regex("(".to_owned())] {
        let error = model.generate(question(), params(constraint)).unwrap_err();
        assert!(matches!(error, Error::Generate(smolvlm::generate::Error::Constraint { .. })), "{error}");
        assert_eq!(error.kind(), smolvlm::ErrorKind::Input);
    }
    let beams = params(Constraint::json_object()).num_beams(2);
    assert!(model.generate(question(), beams).unwrap_err().to_string().contains("excludes beam search"));
}

/// Counts of generated texts.
#[derive(Debug, Default)]
struct Counts {
    texts: usize,
    tokens: usize,
    steps: usize,
    unfinished: usize,
    violations: Vec<String>,
}

/// `cargo xtask constrain`: prints violations, and the time per step with and without a constraint.
#[test]
#[ignore = "takes minutes; cargo xtask constrain"]
fn json_of_ten_thousand_schemas_is_valid() {
    for (dtype, model) in models() {
        let counts = Mutex::new(Counts::default());
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (model, counts) = (&model, &counts);
                scope.spawn(move || {
                    (0..10_000).filter(|seed| seed % CLIENTS == client).for_each(|seed| count(model, seed, counts));
                });
            }
        });
        let Counts { texts, tokens, steps, unfinished, violations } = counts.into_inner().unwrap();
        println!(
            "{dtype:?}: {texts} texts, {tokens} tokens in {steps} steps, {unfinished} longer than {MAX_TOKENS} tokens, \
             {} violations",
            violations.len()
        );
        let [free, constrained] = [None, Some(Constraint::Regex("(?s:.*)".to_owned()))]
            .map(|constraint| (0..5).map(|_| step_time(&model, constraint.clone())).min().unwrap_or_default());
        println!("{dtype:?}: {free:?} per step, {constrained:?} with a constraint that allows all texts");
        assert_eq!(violations, Vec::<String>::new());
    }
}

fn count(model: &SmolVlm, seed: u64, counts: &Mutex<Counts>) {
    let schema = random_schema(&mut Lcg(seed));
    let mut params = params(Constraint::JsonSchema(schema.clone()));
    if seed % 2 == 1 {
        params = params.do_sample(true).seed(seed).temperature(1.5);
    }
    let answer = model.generate(question(), params).unwrap_or_else(|error| panic!("seed {seed}: {error}: {schema}"));
    let mut counts = counts.lock().unwrap();
    counts.texts += 1;
    counts.tokens += answer.token_ids.len();
    counts.steps += answer.timings.decode_steps + 1;
    if answer.finish_reason == FinishReason::Length {
        counts.unfinished += 1;
        return;
    }
    let value = serde_json::from_str(answer.text());
    if !value.is_ok_and(|value: Value| jsonschema::is_valid(&schema, &value)) {
        counts.violations.push(format!("seed {seed}: {schema} gives {}", answer.text()));
    }
}

/// Time of a step that decodes one text.
fn step_time(model: &SmolVlm, constraint: Option<Constraint>) -> Duration {
    let mut params = model.sampling().max_new_tokens(200).min_new_tokens(200);
    params.constraint = constraint;
    let timings = model.generate(question(), params).unwrap().timings;
    timings.decode / timings.decode_steps.max(1) as u32
}
