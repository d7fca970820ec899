//! Answers as a stream of futures.

use futures::StreamExt;
use futures::executor::block_on;
use smolvlm::{Event, FinishReason, Message, Options, SamplingParams, SmolVlm, Source};
use smolvlm_tests::exact;

fn model() -> SmolVlm {
    SmolVlm::load(Source::demo(), Options { threads: Some(1), ..exact() }).unwrap()
}

#[test]
fn events_equal_those_of_the_iterator() {
    let model = model();
    let stream = || {
        let params = SamplingParams::greedy().max_new_tokens(8).logprobs(1);
        model.stream(Message::user().text("What is it?"), params).unwrap()
    };
    let events = |events: Vec<Result<Event, smolvlm::Error>>| -> Vec<String> {
        let event = |event| match event {
            Event::Finished(generation) => generation.text,
            other => format!("{other:?}"),
        };
        events.into_iter().map(|result| event(result.unwrap())).collect()
    };
    let expected = events(stream().collect());
    assert!(expected.len() > 3, "{expected:?}");
    assert_eq!(events(block_on(stream().into_async().collect())), expected);
    // Several on one thread.
    let both = futures::future::join_all((0..3).map(|_| stream().into_async().collect::<Vec<_>>()));
    assert!(block_on(both).into_iter().all(|found| events(found) == expected));
}

#[test]
fn streams_are_cancelled_while_a_task_waits() {
    let model = model();
    let params = SamplingParams::greedy().max_new_tokens(4000).min_new_tokens(4000);
    let mut stream = model.stream(Message::user().text("What is it?"), params).unwrap().into_async();
    let cancel = stream.cancel_handle();
    let last = block_on(async {
        let mut last = None;
        while let Some(event) = stream.next().await {
            cancel.cancel();
            last = Some(event.unwrap());
        }
        last
    });
    assert!(matches!(last, Some(Event::Finished(text)) if text.finish_reason == FinishReason::Cancelled));
}
