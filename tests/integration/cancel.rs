//! Cancellation before, while and after media are read.

use smolvlm::{Cancel, Error, FinishReason, Message, Options, SamplingParams, SmolVlm, Source};
use smolvlm_tests::exact;

fn options() -> Options {
    Options { threads: Some(1), ..exact() }
}

#[test]
fn loading_is_cancelled() {
    for source in [Source::demo(), Source::random(smolvlm::Preset::Tiny)] {
        let options = options();
        options.cancel.cancel();
        assert!(matches!(SmolVlm::load(source.clone(), options.clone()), Err(Error::Cancelled)), "{source:?}");
    }
}

#[test]
fn cancelled_handles_read_no_media_and_harm_no_other_handle() {
    let (model, cancel) = (SmolVlm::load(Source::demo(), options()).unwrap(), Cancel::new());
    let handle = model.with_cancel(&cancel);
    let question = || Message::user().image("no/such.png").text("What is it?");
    let params = || SamplingParams::greedy().max_new_tokens(2);
    assert!(matches!(handle.generate(question(), params()), Err(Error::Processor(_))));
    cancel.cancel();
    assert!(matches!(handle.generate(question(), params()), Err(Error::Cancelled)));
    assert!(matches!(handle.batch(&[question().into()], params().num_beams(2)), Err(Error::Cancelled)));
    assert!(matches!(handle.stream(question(), params()), Err(Error::Cancelled)));
    assert!(matches!(handle.hidden_states(&[question().into()]), Err(Error::Cancelled)));
    // Without media, the work ends in the engine.
    let answer = handle.generate(Message::user().text("What is it?"), params().num_beams(2)).unwrap();
    assert_eq!((answer.finish_reason, answer.token_ids.len()), (FinishReason::Cancelled, 0));
    let answer = model.generate(Message::user().text("What is it?"), params()).unwrap();
    assert_ne!(answer.finish_reason, FinishReason::Cancelled);
}

#[test]
fn turns_of_a_chat_have_tokens_of_their_own() {
    let model = SmolVlm::load(Source::demo(), options()).unwrap();
    let mut chat = model.start_chat(smolvlm::Conversation::default());
    let cancel = Cancel::new();
    chat.set_cancel(cancel.clone());
    cancel.cancel();
    let params = SamplingParams::greedy().max_new_tokens(2);
    let picture = || Message::user().image(smolvlm::Rgb::new(8, 8, vec![9; 192]).unwrap()).text("What is it?");
    assert!(matches!(chat.send(picture(), &params), Err(Error::Cancelled)));
    assert!(chat.history().messages.is_empty());
    chat.set_cancel(Cancel::new());
    assert_ne!(chat.send(picture(), &params).unwrap().finish_reason, FinishReason::Cancelled);
}
