//! Tests of batches that are planned before they are decoded.

mod common;

use common::{png, processor, processor_with};
use smolvlm_processor::{Conversation, Error, Message, PrepareOptions, ProcessorLimits, RenderOptions};

/// Options that truncate prompts.
fn fitting(tokens: usize) -> PrepareOptions {
    PrepareOptions::new(RenderOptions::answer()).max_tokens(tokens)
}

/// The header of a PNG of 3 x 2 pixels without pixel data.
fn header_only() -> Vec<u8> {
    let mut png = png();
    let data = png.windows(4).position(|window| window == b"IDAT").unwrap();
    png.truncate(data + 6);
    png
}

#[test]
fn prompts_are_known_before_pixels_are_decoded() {
    let processor = processor();
    let whole = [Conversation::from(Message::user().image(png()).text("a"))];
    let header = [Conversation::from(Message::user().image(header_only()).text("a"))];
    let options = RenderOptions::answer();
    let (whole, header) = (processor.prepare(&whole, &options).unwrap(), processor.prepare(&header, &options).unwrap());
    assert_eq!((header.rows(), header.prompt_tokens(0)), (1, whole.prompt_tokens(0)));
    assert_eq!((header.prompt_tokens(1), header.estimates()), (0, whole.estimates()));
    let tokens = whole.prompt_tokens(0);
    assert_eq!(whole.load().unwrap().prompt_len(0), tokens);
    assert!(matches!(header.load(), Err(Error::Image { .. })));
}

/// For every token limit, the prepared batch equals the result of `fit` and `process`.
#[test]
fn truncated_conversations_equal_fit_then_process() {
    let processor = processor();
    let options = RenderOptions::answer();
    let conversation = Conversation::from([
        Message::system().text("s"),
        Message::user().image(png()).text("first"),
        Message::assistant().text("one"),
        Message::user().text("second").image(png()).image(png()),
        Message::assistant().text("two"),
        Message::user().text("third"),
    ]);
    let conversations = [conversation];
    let whole = processor.estimate(&conversations[0], &options).unwrap().prompt_tokens;
    let mut lengths = std::collections::BTreeSet::new();
    for limit in 0..=whole {
        let prepared = processor.prepare_with(&conversations, &PrepareOptions::new(options.clone()).max_tokens(limit));
        match processor.fit(&conversations[0], &options, limit) {
            Ok(kept) => {
                lengths.insert(kept.messages.len());
                let batch = prepared.unwrap().load().unwrap();
                assert!(batch.prompt_len(0) <= limit);
                assert_eq!(batch, processor.process(&[kept], &options).unwrap());
            }
            Err(error) => {
                assert!(matches!(error, Error::TooLong { limit: found, .. } if found == limit));
                assert!(prepared.is_err());
            }
        }
    }
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [2, 4, 6]);
}

#[test]
fn dropped_media_do_not_count_toward_the_tile_limit() {
    let turn = || [Message::user().image(png()).text("What?"), Message::assistant().text("a")];
    let conversations = [Conversation::new((0..3).flat_map(|_| turn()).take(5))];
    let limits = ProcessorLimits { max_batch_tiles: 2 * 13, ..ProcessorLimits::default() };
    let (processor, options) = (processor_with(limits), RenderOptions::answer());
    assert!(matches!(processor.prepare(&conversations, &options), Err(Error::TooManyTiles { tiles: 39, limit: 26 })));
    let error = processor.prepare_with(&conversations, &fitting(10_000)).err().unwrap();
    assert!(matches!(error, Error::TooManyTiles { tiles: 39, .. }), "{error}");
    let batch = processor.prepare_with(&conversations, &fitting(2 * 13 * 4 + 150)).unwrap().load().unwrap();
    assert_eq!(batch.media[0].len(), 2);
}

#[test]
fn error_positions_refer_to_the_full_conversation() {
    let bad = Conversation::from([
        Message::user().text("first"),
        Message::assistant().text("one"),
        Message::user().text("second").image("no/such.png"),
    ]);
    let error = processor().fit(&bad, &RenderOptions::answer(), 1000).unwrap_err();
    assert!(matches!(error, Error::Image { at, .. } if at.message == Some(2) && at.item == Some(1)), "{error}");
    let typed = Conversation::from([Message::user().text("an <image>"), Message::user().image(png())]);
    let error = processor().fit(&typed, &RenderOptions::answer(), 1000).unwrap_err();
    assert!(matches!(error, Error::ImageCount { typed_in: Some(0), .. }), "{error}");
}

#[cfg(feature = "http")]
#[test]
fn truncation_fetches_each_medium_at_most_once() {
    let (base, requests) =
        common::server::serve_on("127.0.0.1", |_, connection| common::server::reply(connection, "200 OK", "", &png()));
    let turn = |index: usize| {
        [Message::user().image(format!("{base}/{index}.png")).text("What?"), Message::assistant().text("a")]
    };
    let mut messages: Vec<Message> = (0..10).flat_map(turn).collect();
    messages.push(Message::user().text("And now?"));
    let conversations = [Conversation::new(messages)];
    let options = RenderOptions::answer();
    let processor = processor();
    // Enough for three images of 13 tiles with 4 tokens each and the text between them.
    let prepared = processor.prepare_with(&conversations, &fitting(3 * 13 * 4 + 200)).unwrap();
    let batch = prepared.load().unwrap();
    let kept = batch.media[0].len();
    assert!((2..5).contains(&kept), "{kept}");
    let mut fetched = requests.paths();
    fetched.sort();
    // The first image that did not fit was opened.
    let expected: Vec<String> = (10 - kept - 1..10).map(|index| format!("/{index}.png")).collect();
    assert_eq!(fetched, expected);

    let whole = processor.process(&conversations, &options).unwrap();
    assert_eq!((whole.media[0].len(), requests.paths().len()), (10, kept + 1 + 10));
}

#[test]
fn cancelled_work_reads_no_more_media() {
    let processor = processor();
    let conversations = [Conversation::from(Message::user().image(png()).image("no/such.png").text("What?"))];
    let options = PrepareOptions::new(RenderOptions::answer());
    let missing = processor.prepare_with(&conversations, &options).err().unwrap();
    assert!(matches!(missing, Error::Image { .. }), "{missing}");
    options.cancel.cancel();
    assert!(matches!(processor.prepare_with(&conversations, &options), Err(Error::Cancelled)));
    // After the headers are read.
    let conversations = [Conversation::from(Message::user().image(png()).text("What?"))];
    let options = PrepareOptions::new(RenderOptions::answer());
    let prepared = processor.prepare_with(&conversations, &options).unwrap();
    options.cancel.cancel();
    assert!(matches!(prepared.load(), Err(Error::Cancelled)));
}
