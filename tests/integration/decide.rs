//! Decisions of the demo model about its world: accuracy, and calibration before and after fitting.
//!
//! The model was trained to name colors and to count, but never on yes/no questions about pictures.

use serde_json::{Value, json};
use smolvlm::{
    Calibration, Content, Conversation, DecideOptions, Decision, Message, Question, QuestionKind, SamplingParams,
    SmolVlm, Source, expected_calibration_error,
};
use smolvlm_synth::{Kind, Split, sample, write_jsonl};
use smolvlm_tests::exact;
use std::time::Instant;

const COLORS: [&str; 10] = ["red", "green", "blue", "yellow", "orange", "purple", "pink", "brown", "black", "white"];
/// Labels from which temperatures are fitted.
const LABELS: usize = 64;

type Labeled = (Decision, usize);

/// The first pictures of a kind, each with its question and answer.
fn pictures(kind: Kind, count: usize) -> Vec<(Conversation, String, String)> {
    let folder = tempfile::tempdir().unwrap();
    write_jsonl(folder.path(), (0..count as u64).map(|index| sample(kind, Split::Test, index))).unwrap();
    let lines = std::fs::read_to_string(folder.path().join("samples.jsonl")).unwrap();
    let picture = |line: &str| {
        let messages: Value = serde_json::from_str(line).unwrap();
        let mut conversation = Conversation::from_json(&json!([messages[0]]).to_string()).unwrap();
        let content = &mut conversation.messages[0].content;
        let Some(Content::Text(question)) = content.pop() else { panic!("no question: {line}") };
        for content in content {
            if let Content::Image(image) = content {
                *image = std::fs::read(image.local_path().unwrap()).unwrap().into();
            }
        }
        let Some(Content::Text(answer)) = answer(&messages).content.pop() else { panic!("no answer: {line}") };
        (conversation, question, answer)
    };
    lines.lines().map(picture).collect()
}

/// The message after the question.
fn answer(messages: &Value) -> Message {
    Conversation::from_json(&json!([messages[1]]).to_string()).unwrap().messages.remove(0)
}

/// What a question about a color asks about, such as `circle` or `shape at the top`.
fn subject(question: &str) -> &str {
    let starts = ["What colour is the ", "Which colour is the ", "What is the colour of the "];
    let subject = starts.iter().find_map(|start| question.strip_prefix(start)).unwrap();
    subject.trim_end_matches('?')
}

/// Asks for the color and whether it is a given one, right in half of the cases; returns both kinds of decisions.
fn colors(model: &SmolVlm, count: usize) -> [Vec<Labeled>; 2] {
    let (mut choices, mut yes_no) = (Vec::new(), Vec::new());
    for (index, (conversation, question, answer)) in pictures(Kind::Color, count).into_iter().enumerate() {
        let answer = answer.trim_end_matches('.').to_lowercase();
        let correct = COLORS.iter().position(|color| *color == answer).unwrap();
        // Every other color equally often.
        let asked = if index % 2 == 0 { correct } else { (correct + 1 + index / 2 % 9) % 10 };
        let questions = [
            Question::choice(&question, COLORS),
            Question::yes_no(format!("Is the {} {}?", subject(&question), COLORS[asked])),
        ];
        let answers = model.decide(conversation, &questions, &DecideOptions::default()).unwrap();
        let [choice, yes]: [Decision; 2] = answers.decisions.try_into().unwrap();
        choices.push((choice, correct));
        yes_no.push((yes, usize::from(asked != correct)));
    }
    [choices, yes_no]
}

fn counts(model: &SmolVlm, count: usize) -> Vec<Labeled> {
    let ask = |(conversation, question, answer): (Conversation, String, String)| {
        let question = Question::integer(question, 0..=12);
        let mut answers = model.decide(conversation, &[question], &DecideOptions::default()).unwrap();
        (answers.decisions.remove(0), answer.parse().unwrap())
    };
    pictures(Kind::Count, count).into_iter().map(ask).collect()
}

fn pairs(labeled: &[Labeled]) -> impl Iterator<Item = (&Decision, usize)> {
    labeled.iter().map(|(decision, label)| (decision, *label))
}

struct Figures {
    accuracy: f64,
    error_before: f64,
    error_after: f64,
    coverage: f64,
}

/// Fits the first decisions and measures the others.
fn figures(name: &str, labeled: &[Labeled]) -> Figures {
    let (fitted, others) = labeled.split_at(LABELS);
    let calibration = Calibration::fit(pairs(fitted)).unwrap();
    let after: Vec<Labeled> =
        others.iter().map(|(decision, label)| (decision.clone().calibrated(&calibration), *label)).collect();
    let share = |value: &dyn Fn(&Labeled) -> f64| others.iter().map(value).sum::<f64>() / others.len() as f64;
    let figures = Figures {
        accuracy: share(&|(decision, label)| f64::from(decision.best() == Some(*label))),
        error_before: expected_calibration_error(pairs(others)),
        error_after: expected_calibration_error(pairs(&after)),
        coverage: share(&|(decision, _)| decision.coverage),
    };
    println!(
        "{name}: {} questions, accuracy {:.1} %, coverage {:.1} %, expected calibration error {:.4} before, {:.4} \
         after fitting {LABELS} labels (temperature {:.2})",
        others.len(),
        100.0 * figures.accuracy,
        100.0 * figures.coverage,
        figures.error_before,
        figures.error_after,
        calibration.temperature(labeled[0].0.kind)
    );
    figures
}

/// Asks `count` questions of each kind besides those that temperatures are fitted to.
fn measure(count: usize) -> [Figures; 3] {
    let model = SmolVlm::load(Source::demo(), exact()).unwrap();
    let [choices, yes_no] = colors(&model, LABELS + count);
    let counts = counts(&model, LABELS + count);
    [figures("choice", &choices), figures("number", &counts), figures("yes/no", &yes_no)]
}

#[test]
fn decisions_are_accurate_and_fitting_does_not_harm() {
    let [choice, number, yes_no] = measure(64);
    assert!(choice.accuracy > 0.95 && choice.coverage > 0.95, "{}", choice.accuracy);
    assert!(number.accuracy > 0.9 && number.coverage > 0.95, "{}", number.accuracy);
    // 64 questions are few: their share of correct answers is uncertain by some percent.
    for figures in [&choice, &number, &yes_no] {
        let (before, after) = (figures.error_before, figures.error_after);
        assert!(after < before + 0.02, "{before} before fitting, {after} after");
    }
}

/// The figures of the documentation: `cargo xtask decide`.
#[test]
#[ignore = "takes minutes"]
fn decisions_about_two_thousand_pictures() {
    let clock = Instant::now();
    measure(2000);
    println!("{:.0} s", clock.elapsed().as_secs_f64());
}

/// An option's log-probability is that of its tokens in a generated answer.
#[test]
fn log_probabilities_are_those_of_generated_tokens() {
    let model = SmolVlm::load(Source::demo(), exact()).unwrap();
    for (conversation, question, _) in pictures(Kind::Color, 8) {
        let asked = Question::choice(&question, COLORS);
        let decision =
            model.decide(conversation.clone(), &[asked], &DecideOptions::default()).unwrap().decisions.remove(0);
        assert_eq!(decision.kind, QuestionKind::Choice);
        let mut conversation = conversation;
        conversation.messages[0].content.push(Content::Text(question));
        let mut params = SamplingParams::greedy().max_new_tokens(16);
        params.logprobs = Some(0);
        let generation = model.generate(conversation, params).unwrap();
        let best = decision.options.iter().max_by(|a, b| a.logprob.total_cmp(&b.logprob)).unwrap();
        assert_eq!(generation.text().trim_end_matches('.').to_lowercase(), best.option);
        // Without the period and the end.
        let bytes = model.processor().token_bytes();
        let len = generation.token_ids.iter().position(|&id| bytes.get(id).as_deref() == Some(&b"."[..])).unwrap();
        let sum: f64 = generation.logprobs[..len].iter().map(|token| f64::from(token.logprob)).sum();
        // The option also has the spelling in lower case.
        assert!(best.logprob >= sum - 1e-4 && best.logprob < sum + 1e-2, "{} {sum}", best.logprob);
    }
}
