//! The loss mask: which tokens of a conversation count toward the loss.

use crate::common::{picture, processor};
use smolvlm_processor::{FrameList, Message, Processor, synthetic_tokenizer};
use smolvlm_train::{Example, Sample, SampleError};

/// Texts of the runs of target tokens.
fn target_texts(processor: &Processor, example: &Example) -> Vec<String> {
    let sample = Sample::new(processor, example, 10_000).unwrap();
    assert_eq!(sample.ids.len(), sample.loss_mask.len());
    let mut runs: Vec<Vec<u32>> = Vec::new();
    let mut last = false;
    for (id, is_target) in sample.ids.iter().zip(&sample.loss_mask) {
        match (last, *is_target, runs.last_mut()) {
            (true, true, Some(run)) => run.push(*id),
            (_, true, _) => runs.push(vec![*id]),
            _ => {}
        }
        last = *is_target;
    }
    runs.iter().map(|run| processor.decode(run, false).unwrap()).collect()
}

#[test]
fn every_assistant_turn_and_its_end_token_is_a_target() {
    let conversation = Example::new([
        Message::system().text("Be brief."),
        Message::user().image(picture([1, 2, 3])).text("What is it? User: or Assistant: no"),
        Message::assistant().text("A cat."),
        Message::user().text("Sure?<end_of_utterance>"),
        Message::assistant().text("Yes, Größe 3 — ünïcode."),
    ]);
    let wanted = [" A cat.<end_of_utterance>", " Yes, Größe 3 — ünïcode.<end_of_utterance>"];
    assert_eq!(target_texts(&processor(), &conversation), wanted);
}

#[test]
fn assistant_turns_after_videos_and_several_images_are_targets() {
    let frames = FrameList::new([picture([9, 9, 9]), picture([8, 8, 8])]);
    let conversation = Example::new([
        Message::user().video(frames).text("And this one?").image(picture([7, 7, 7])),
        Message::assistant().text("Grey"),
        Message::user().image(picture([6, 6, 6])).text("This?"),
        Message::assistant().text("Grey, too"),
    ]);
    assert_eq!(target_texts(&processor(), &conversation), [" Grey<end_of_utterance>", " Grey, too<end_of_utterance>"]);
}

#[test]
fn conversation_may_start_with_the_assistant() {
    let conversation = Example::new([Message::assistant().text("Hello."), Message::user().text("Hi")]);
    // The token that starts every prompt is never a target: nothing comes before it.
    assert_eq!(target_texts(&processor(), &conversation), ["Assistant: Hello.<end_of_utterance>"]);
}

#[test]
fn template_may_mark_targets() {
    let template = "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}\
                    {{ m.content[0].text }}{% endgeneration %}{% else %}{{ m.content[0].text }}{% endif %};{% endfor %}";
    let config = processor().config().clone();
    let processor = Processor::new(config, synthetic_tokenizer(400).unwrap(), Some(template.to_owned())).unwrap();
    let conversation = Example::new([
        Message::user().text("a"),
        Message::assistant().text("bé"),
        Message::user().text("c"),
        Message::assistant().string("d"),
    ]);
    assert_eq!(target_texts(&processor, &conversation), ["bé", "d"]);
    let error = Sample::new(&processor, &Example::new([Message::user().text("a")]), 1000).unwrap_err();
    assert!(matches!(error, SampleError::NoTarget), "{error}");
}

#[test]
fn unmarked_templates_without_the_end_token() {
    let template = "{% for m in messages %}[{{ m.role }}]{% for c in m.content %}{{ c.text }}{% endfor %}<|im_end|>\
                    {% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}";
    let with = |template: &str| {
        let config = processor().config().clone();
        Processor::new(config, synthetic_tokenizer(400).unwrap(), Some(template.to_owned())).unwrap()
    };
    let conversation = Example::new([
        Message::user().text("a"),
        Message::assistant().text("b"),
        Message::user().text("c"),
        Message::assistant().text("d"),
    ]);
    // Without a known end-of-turn token, everything that the template writes for an assistant turn counts toward the
    // loss.
    assert_eq!(target_texts(&with(template), &conversation), ["b<|im_end|>", "d<|im_end|>"]);
    // A template that renders the last message differently cannot be split into turns.
    let last = "{% for m in messages %}{% if loop.last %}!{% endif %}{{ m.content[0].text }}{% endfor %}";
    let error = Sample::new(&with(last), &conversation, 1000).unwrap_err();
    assert!(matches!(error, SampleError::Template { messages: 2 }), "{error}");
}
