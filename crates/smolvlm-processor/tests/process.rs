//! Tests of complete batches.

mod common;

use std::sync::Arc;

use common::{SEQ, png, processor, processor_with};
use smolvlm_processor::{
    Conversation, Error, ImageSource, Media, MediaPlan, Message, Processor, ProcessorLimits, RELEASED_CHAT_TEMPLATE,
    RenderOptions, Rgb, SpecialTokens, TileGrid,
};

/// 3 x 2 pixels are resized to 43 x 64, then to 48 x 64: a grid of 3 x 4 tiles of 16 pixels, and the global tile.
const GRID: TileGrid = TileGrid { rows: 3, cols: 4 };
const TILES: usize = 13;

fn decoded(width: u32, height: u32) -> ImageSource {
    Rgb::new(width, height, vec![128; (width * height * 3) as usize]).unwrap().into()
}

fn one(message: Message) -> Conversation {
    message.into()
}

#[test]
fn image_with_a_question() {
    let processor = processor();
    let batch = processor.process(&[one(Message::user().image(png()).text("hi"))], &RenderOptions::answer()).unwrap();
    assert_eq!((batch.rows, batch.edge, batch.tile_count()), (1, 16, TILES));
    assert_eq!(batch.media[0][0].plan(), MediaPlan::Image(GRID));
    let rendered = "<|im_start|>User:<image>hi<end_of_utterance>\nAssistant:";
    assert_eq!(batch.prompts, [processor.expand(rendered, &[MediaPlan::Image(GRID)]).unwrap()]);
    assert_eq!(batch.input_ids, processor.encode(&batch.prompts[0]).unwrap());
    assert_eq!(batch.input_ids.len(), batch.len);
    assert!(batch.attention_mask.iter().all(|&real| real == 1));
    // Spec formula: R * (C * (S + 2) + 1) + S + 3, and one more because this tokenizer does not merge the blank line.
    let image = 3 * (4 * (SEQ + 2) + 1) + SEQ + 3 + 1;
    let text = "<|im_start|>".len() - 11 + "User:".len() + "hi".len() + 1 + 1 + "Assistant:".len();
    assert_eq!(batch.len, text + image);
    let image_ids = batch.input_ids.iter().filter(|&&id| id == processor.image_token_id()).count();
    assert_eq!(image_ids, GRID.image_tokens(SEQ));
}

#[test]
fn rows_are_padded_on_the_left() {
    let processor = processor();
    let conversations = [
        one(Message::user().text("only text")),
        one(Message::user().image(decoded(64, 8)).text("a").image(decoded(8, 8))),
        Conversation::from([
            Message::user().image(decoded(16, 16)).text("b"),
            Message::assistant().text("c"),
            Message::user().text("d"),
        ]),
    ];
    let options = RenderOptions::answer();
    let batch = processor.process(&conversations, &options).unwrap();
    let pad = processor.pad_token_id().unwrap();
    for (row, conversation) in conversations.iter().enumerate() {
        let alone = processor.process(std::slice::from_ref(conversation), &options).unwrap();
        let padding = batch.len - alone.len;
        let ids = &batch.input_ids[row * batch.len..][..batch.len];
        assert!(ids[..padding].iter().all(|&id| id == pad));
        assert_eq!(ids[padding..], alone.input_ids);
        let mask = &batch.attention_mask[row * batch.len..][..batch.len];
        assert!(mask[..padding].iter().all(|&m| m == 0) && mask[padding..].iter().all(|&m| m == 1));
        assert_eq!((batch.prompt_len(row), &batch.media[row]), (alone.len, &alone.media[0]));
    }
    assert_eq!(batch.media.iter().map(Vec::len).collect::<Vec<_>>(), [0, 2, 1]);
    // 64 x 8 gives one row of four tiles; square images give 4 x 4.
    assert_eq!(batch.all_media().map(Media::tiles).collect::<Vec<_>>(), [5, 17, 17]);
    assert_eq!((batch.prompt_len(3), batch.prompt_len(usize::MAX)), (0, 0));
}

#[test]
fn pixel_values_are_padded_as_in_the_reference() {
    let processor = processor();
    let conversations = [
        one(Message::user().text("t")),
        one(Message::user().image(decoded(64, 8)).image(decoded(64, 8))),
        one(Message::user().image(decoded(64, 8))),
    ];
    let batch = processor.process(&conversations, &RenderOptions::answer()).unwrap();
    let pixels = batch.pixel_values().unwrap();
    assert_eq!(pixels.shape, [3, 10, 3, 16, 16]);
    let tile = 3 * 16 * 16;
    assert_eq!((pixels.data.len(), pixels.mask.len()), (3 * 10 * tile, 3 * 10 * tile / 3));
    let both: Vec<f32> = batch.media[1].iter().flat_map(|media| media.pixels().to_vec()).collect();
    assert_eq!(pixels.data[10 * tile..20 * tile], both);
    assert_eq!(pixels.data[20 * tile..25 * tile], *batch.media[2][0].pixels());
    let real = |tile: usize| pixels.mask[tile * 256..(tile + 1) * 256].iter().all(|&m| m == 1);
    assert_eq!((0..30).map(real).collect::<Vec<_>>(), [vec![false; 10], vec![true; 15], vec![false; 5]].concat());
    assert!(pixels.data[..10 * tile].iter().all(|&value| value == 0.0));
    let text = processor.process(&conversations[..1], &RenderOptions::answer()).unwrap();
    assert!(text.pixel_values().is_none() && text.edge == 0);
}

#[test]
fn all_image_sources_give_the_same_tiles() {
    let processor = processor();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a picture é.png");
    std::fs::write(&path, png()).unwrap();
    let encoded = path.to_str().unwrap().replace(' ', "%20").replace('é', "%C3%A9");
    let base64 = common::PNG;
    let wrapped = format!("{}\n{}\r\n", &base64[..60], &base64[60..]);
    let percent: String = png().iter().map(|byte| format!("%{byte:02x}")).collect();
    let sources = [
        ImageSource::from(path.as_path()),
        ImageSource::from(path.to_str().unwrap()),
        format!("file://{encoded}").into(),
        format!("file://localhost{encoded}").into(),
        format!("FILE:{encoded}").into(),
        format!("data:image/png;base64,{base64}").into(),
        format!("data:;charset=x;BASE64,{}", base64.trim_end_matches('=')).into(),
        format!("data:image/png,{percent}").into(),
        ImageSource::Base64(base64.to_owned()),
        ImageSource::Base64(wrapped),
        ImageSource::Base64(format!("data:image/png;base64,{base64}")),
        // As in the reference, a path that does not exist may be the image itself.
        ImageSource::from(base64),
        png().into(),
    ];
    let wanted = processor.process(&[one(Message::user().image(png()))], &RenderOptions::answer()).unwrap();
    for source in sources {
        let batch = processor.process(&[one(Message::user().image(source.clone()))], &RenderOptions::answer());
        assert_eq!(batch.unwrap_or_else(|error| panic!("{source:?}: {error}")), wanted);
    }
    let shared = Arc::new(Rgb::new(3, 2, vec![7; 18]).unwrap());
    assert!(processor.process(&[one(Message::user().image(shared))], &RenderOptions::answer()).is_ok());
}

#[test]
fn invalid_sources_are_reported_with_the_item() {
    let processor = processor();
    let fails = |source: ImageSource| {
        let conversation = Conversation::from([Message::user().text("x"), Message::user().text("y").image(source)]);
        processor.process(&[conversation], &RenderOptions::answer()).unwrap_err()
    };
    assert!(
        matches!(fails("no/such/file.png".into()), Error::Image { at, .. } if at.message == Some(1) && at.item == Some(1))
    );
    assert!(matches!(fails("x".repeat(9000).into()), Error::Image { .. }));
    assert!(matches!(fails(b"not an image".as_slice().into()), Error::Image { .. }));
    assert!(matches!(fails(ImageSource::Base64("@@@@".into())), Error::Base64 { .. }));
    assert!(matches!(fails("data:image/png;base64,@@@@".into()), Error::Base64 { .. }));
    for url in [
        "data:image/png;base64",
        "data:,%4",
        "data:,%zz",
        "file://other.host/a.png",
        "file:",
        "file:///%ff",
        "file:///a%00",
    ] {
        let error = fails(url.into());
        assert!(matches!(error, Error::Url { .. }), "{url}: {error}");
        assert!(error.to_string().starts_with("message 1, item 1: "), "{error}");
    }
    assert!(matches!(fails(ImageSource::Url("ftp://h/a.png".into())), Error::Url { .. }));
}

#[cfg(not(feature = "http"))]
#[test]
fn http_without_the_feature_names_the_feature() {
    let conversation = one(Message::user().image("https://example.com/a.png"));
    let error = processor().process(&[conversation], &RenderOptions::answer()).unwrap_err();
    assert!(matches!(&error, Error::Url { reason, .. } if reason.contains("cargo feature `http`")), "{error}");
}

#[test]
fn typed_placeholder_is_reported_with_its_message() {
    let processor = processor();
    let conversations = [
        one(Message::user().text("fine")),
        Conversation::from([
            Message::user().image(png()),
            Message::assistant().text("a"),
            Message::user().text("an <image> tag"),
        ]),
    ];
    let error = processor.process(&conversations, &RenderOptions::answer()).unwrap_err();
    assert!(matches!(error, Error::ImageCount { row: 1, placeholders: 2, images: 1, typed_in: Some(2) }));
    assert_eq!(
        error.to_string(),
        "conversation 1: the prompt holds 2 image placeholder(s), 1 image(s) were given; the text of message 2 contains \
         the placeholder itself; set sanitize_control_tokens to treat it as text"
    );
    // A template that prints no placeholder.
    let silent =
        Processor::new(common::config(), common::tokenizer(), Some("{{ messages[0].role }}".to_owned())).unwrap();
    let error = silent.process(&[one(Message::user().image(png()))], &RenderOptions::answer()).unwrap_err();
    assert!(matches!(error, Error::ImageCount { row: 0, placeholders: 0, images: 1, typed_in: None }));
}

#[test]
fn exceeded_limits_are_errors() {
    let question = || [one(Message::user().image(png())), one(Message::user().image(png()))];
    let run = |limits| processor_with(limits).process(&question(), &RenderOptions::answer());
    let default = ProcessorLimits::default;
    assert!(run(default()).is_ok());
    let tokens = run(ProcessorLimits { max_prompt_tokens: TILES * SEQ - 1, ..default() });
    assert!(matches!(tokens, Err(Error::TooManyTokens { row: 0, tokens: 52, limit: 51 })));
    let tiles = run(ProcessorLimits { max_batch_tiles: 2 * TILES - 1, ..default() });
    assert!(matches!(tiles, Err(Error::TooManyTiles { tiles: 26, limit: 25 })));
    let fuel = run(ProcessorLimits { template_fuel: 10, ..default() });
    assert!(matches!(fuel, Err(Error::Template { .. })));
    let processor = processor().with_limits(ProcessorLimits { template_fuel: 10, ..default() });
    assert!(matches!(processor.process(&question(), &RenderOptions::answer()), Err(Error::Template { .. })));
    let mut small = default();
    small.image.max_bytes = 30;
    let big = processor_with(small)
        .process(&[one(Message::user().image(ImageSource::Base64(common::PNG.into())))], &RenderOptions::answer());
    assert!(matches!(big, Err(Error::TooLarge { limit: 30, .. })));
    assert!(matches!(processor_with(default()).process(&[], &RenderOptions::answer()), Err(Error::EmptyBatch)));
}

#[test]
fn configuration_can_be_replaced() {
    let mut config = common::config();
    config.image.do_image_splitting = false;
    let processor = processor().with_config(config).unwrap();
    let batch = processor.process(&[one(Message::user().image(png()))], &RenderOptions::answer()).unwrap();
    assert_eq!((batch.tile_count(), batch.media[0][0].plan()), (1, MediaPlan::Image(TileGrid::WHOLE)));
    assert!(batch.prompts[0].contains("User:<fake_token_around_image><global-img>"));
}

#[test]
fn pad_token_is_needed_only_for_padding() {
    let special: SpecialTokens = [("image_token", "<image>")].into_iter().collect();
    let limits = ProcessorLimits::default();
    let processor =
        Processor::from_parts(common::config(), common::tokenizer(), special, Some(RELEASED_CHAT_TEMPLATE), limits)
            .unwrap();
    let rows = |a: &str, b: &str| [one(Message::user().text(a)), one(Message::user().text(b))];
    assert!(processor.process(&rows("a", "b"), &RenderOptions::answer()).is_ok());
    let error = processor.process(&rows("a", "bb"), &RenderOptions::answer()).unwrap_err();
    assert!(matches!(error, Error::MissingToken { name: "pad_token", .. }));
}

#[test]
fn tokenizer_without_image_token_is_an_error() {
    // The placeholder is in the vocabulary but not an added token, so no text is encoded to it.
    let json = common::tokenizer().to_string(false).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&json).unwrap();
    value["added_tokens"].as_array_mut().unwrap().retain(|token| token["content"] != "<image>");
    value["model"]["vocab"]["<image>"] = 9999.into();
    let tokenizer = smolvlm_processor::Tokenizer::from_bytes(value.to_string()).unwrap();
    let processor = Processor::new(common::config(), tokenizer, Some("<image>".to_owned())).unwrap();
    let error = processor.process(&[one(Message::user().image(png()))], &RenderOptions::answer()).unwrap_err();
    assert!(matches!(error, Error::ImageTokens { row: 0, found: 0, needed: 52 }), "{error}");
}

#[test]
fn processor_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let processor = processor();
    shared(&processor);
    let wanted = processor.process(&[one(Message::user().image(png()))], &RenderOptions::answer()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let batch = processor.process(&[one(Message::user().image(png()))], &RenderOptions::answer()).unwrap();
                assert_eq!(batch, wanted);
            });
        }
    });
}

/// SmolLM's template: content is a string.
const TEXT_TEMPLATE: &str = "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}";

#[test]
fn text_only_processors_render_strings_and_reject_media() {
    let special = SpecialTokens::released();
    let limits = ProcessorLimits::default();
    let processor =
        Processor::text_only(common::config(), common::tokenizer(), special, Some(TEXT_TEMPLATE), limits).unwrap();
    let text = Conversation::from(Message::user().text("Who are ").text("you?"));
    assert_eq!(
        processor.render(&text, &RenderOptions::answer()).unwrap(),
        "<|im_start|>user\nWho are you?<|im_end|>\n"
    );
    assert!(processor.process(std::slice::from_ref(&text), &RenderOptions::answer()).unwrap().len > 10);
    let image =
        Conversation::from(Message::user().text("What is this?").image(ImageSource::Bytes(common::png().into())));
    for error in [
        processor.process(std::slice::from_ref(&image), &RenderOptions::answer()).map(drop).unwrap_err(),
        processor.render(&image, &RenderOptions::answer()).map(drop).unwrap_err(),
    ] {
        assert!(error.to_string().contains("takes text only"), "{error}");
    }
}

#[test]
fn text_only_processors_without_an_image_token_take_its_name_as_text() {
    let released = SpecialTokens::released();
    let special = released.iter().filter(|(name, _)| *name != "image_token").chain([("image_token", "<picture>")]);
    let limits = ProcessorLimits::default();
    let processor =
        Processor::text_only(common::config(), common::tokenizer(), special.collect(), Some(TEXT_TEMPLATE), limits)
            .unwrap();
    let text = Conversation::from(Message::user().text("What does <picture> do in HTML?"));
    let batch = processor.process(&[text], &RenderOptions::answer()).unwrap();
    assert_eq!(
        batch.input_ids,
        processor.encode("<|im_start|>user\nWhat does <picture> do in HTML?<|im_end|>\n").unwrap()
    );
}
