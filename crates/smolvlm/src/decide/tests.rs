//! Decisions against answers that are scored one by one, each in a sequence of its own.

use super::forms::{answer_logprobs, forms};
use super::prompts::Prompts;
use super::{DecideOptions, Decisions, Question};
use crate::{Cancel, Conversation, Device, Dtype, Error, Message, Options, SmolVlm, Source};
use smolvlm_config::Preset;
use smolvlm_generate::token_logprobs;
use smolvlm_image::Rgb;
use smolvlm_model::{KeepLogits, StepInput};

fn model(dtype: Dtype) -> SmolVlm {
    let options = Options { device: Device::Flex, dtype, image_splitting: Some(false), ..Options::default() };
    SmolVlm::load(Source::Random(Preset::Tiny), options).unwrap()
}

fn picture(level: u8) -> Conversation {
    Message::user().image(Rgb::new(8, 8, vec![level; 192]).unwrap()).into()
}

/// Short and long questions, answers that start with others, and one with several tokens.
fn questions() -> Vec<Question> {
    let numbers = ["1", "10", "100", "11", "the number twenty-one", "the number twenty-two"];
    vec![
        Question::yes_no("Is there a dog?"),
        Question::choice("Which number is it?", numbers),
        Question::integer("How many words does this have? ".repeat(40), 0..=11),
        Question::choice("One?", ["one and only"]),
    ]
}

fn decide(model: &SmolVlm, conversation: Conversation, questions: &[Question]) -> Decisions {
    model.decide(conversation, questions, &DecideOptions::default()).unwrap()
}

/// The log-probability of each answer without shared sequences.
fn scored_alone(model: &SmolVlm, conversation: &Conversation, question: &Question) -> Vec<f64> {
    let prompts = Prompts::prepare(model, conversation.clone(), std::slice::from_ref(question)).unwrap();
    let answers = question.answers().map_err(|problem| problem.problem).unwrap();
    let forms = forms(model.processor(), &answers, prompts.space).unwrap().unwrap();
    let batch = model.process(&[with_question(conversation, question)], &model.sampling()).unwrap();
    let features = model.batch_features(&batch).unwrap();
    let mut sequences = model.model().new_sequences(1 << 14);
    let score = |tokens: &[u32]| {
        let sequence = sequences.add();
        let all = [&prompts.shared, tokens].concat();
        let logits = KeepLogits::Tail(tokens.len() + 1);
        let input = StepInput { sequence, tokens: &all, features: features.clone(), logits, generated: false };
        let logits = model.on_threads(|| model.model().step(&mut sequences, &[input])).unwrap();
        sequences.remove(sequence);
        let rows = logits.chunks_exact(model.config().text.vocab_size);
        let logprob = |(&token, row): (&u32, &[f32])| f64::from(token_logprobs(row, [token]).unwrap()[0]);
        tokens.iter().zip(rows).map(logprob).sum::<f64>()
    };
    let scores: Vec<f64> = forms.iter().map(|form| form.tokens.as_slice()).map(score).collect();
    answer_logprobs(&forms, &scores, answers.len())
}

fn with_question(conversation: &Conversation, question: &Question) -> Conversation {
    let mut conversation = conversation.clone();
    let message = conversation.messages.pop().unwrap_or_else(Message::user);
    conversation.messages.push(message.text(question.text()));
    conversation
}

#[test]
fn log_probabilities_are_those_of_each_answer_alone() {
    for dtype in [Dtype::F32, Dtype::Bf16] {
        let model = model(dtype);
        for conversation in [picture(200), Conversation::default()] {
            let together = decide(&model, conversation.clone(), &questions());
            for (question, decision) in questions().iter().zip(&together.decisions) {
                let expected = scored_alone(&model, &conversation, question);
                for (option, expected) in decision.options.iter().zip(expected) {
                    let found = option.logprob;
                    assert!((found - expected).abs() < 1e-4, "{dtype:?} {}: {found}, not {expected}", option.option);
                }
            }
        }
    }
}

#[test]
fn questions_do_not_change_each_other() {
    let model = model(Dtype::F32);
    let together = decide(&model, picture(10), &questions());
    for (question, decision) in questions().iter().zip(&together.decisions) {
        let alone = decide(&model, picture(10), std::slice::from_ref(question));
        assert_eq!(&alone.decisions[0], decision);
    }
    assert!(together.image_tokens > 0 && together.prompt_tokens > together.image_tokens);
}

#[test]
fn pages_of_the_conversation_are_kept() {
    let model = model(Dtype::F32);
    let long = |level| {
        let picture = Rgb::new(8, 8, vec![level; 192]).unwrap();
        let text = "Answer in a few words. ".repeat(20);
        Conversation::from(Message::user().text(&text).image(picture).text(&text))
    };
    let first = decide(&model, long(30), &questions());
    let second = decide(&model, long(30), &questions());
    assert_eq!((first.cached_tokens, &first.decisions), (0, &second.decisions));
    let other = decide(&model, long(31), &questions());
    assert!(0 < other.cached_tokens && other.cached_tokens < second.cached_tokens, "{}", other.cached_tokens);
}

#[test]
fn a_cancelled_request_is_an_error_and_harms_no_other() {
    let model = model(Dtype::F32);
    let cancel = Cancel::new();
    cancel.cancel();
    let cancelled = model.with_cancel(&cancel).decide(picture(1), &questions(), &DecideOptions::default());
    assert!(matches!(cancelled, Err(Error::Cancelled)));
    assert_eq!(decide(&model, picture(1), &questions()).decisions.len(), questions().len());
}

#[test]
fn requests_without_questions_or_with_invalid_ones_do_not_run() {
    let model = model(Dtype::F32);
    assert!(decide(&model, picture(1), &[]).decisions.is_empty());
    let unreadable = || Conversation::from(Message::user().image("nowhere.png"));
    let refused = |questions: &[Question]| match model.decide(unreadable(), questions, &DecideOptions::default()) {
        Err(Error::Question { index, field, .. }) => (index, field),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&[Question::yes_no("?"), Question::yes_no("")]), (1, "question"));
    assert_eq!(refused(&vec![Question::yes_no("?"); 257]).0, 256);
    let many = Question::integer("?", -500..=500);
    assert_eq!(refused(&vec![many; 200]).1, "question");
    let same = model.decide(picture(1), &[Question::choice("?", ["red", "Red"])], &DecideOptions::default());
    assert!(matches!(same, Err(Error::Question { index: 0, field: "options", .. })), "{same:?}");
    let long = Question::yes_no("word ".repeat(9000));
    assert!(matches!(
        model.decide(picture(1), &[Question::yes_no("?"), long], &DecideOptions::default()),
        Err(Error::PromptTooLong { .. })
    ));
}
