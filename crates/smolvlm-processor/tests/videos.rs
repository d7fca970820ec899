//! Tests of videos in conversations.

mod common;

use common::{Random, SEQ, config, processor, tokenizer};
use smolvlm_config::{PixelConfig, ResizePolicy, Size, VideoProcessorConfig};
use smolvlm_processor::{
    Conversation, Error, FrameList, ImageSource, Media, MediaOptions, MediaPlan, Message, PrepareOptions, Processor,
    ProcessorConfig, RELEASED_CHAT_TEMPLATE, Ratio, RenderOptions, Rgb, VideoPromptStyle, VideoSource,
};

fn with_videos() -> Processor {
    let video = VideoProcessorConfig {
        pixels: PixelConfig { size: Size::LongestEdge(64), max_image_size: 16, ..PixelConfig::default() },
        fps: Some(1.0),
        num_frames: Some(8),
        ..VideoProcessorConfig::default()
    };
    let config = ProcessorConfig { video, ..config() };
    Processor::new(config, tokenizer(), Some(RELEASED_CHAT_TEMPLATE.to_owned())).unwrap()
}

fn image(width: u32, height: u32) -> ImageSource {
    Rgb::new(width, height, vec![128; (width * height * 3) as usize]).unwrap().into()
}

fn video(frames: usize, fps: Option<u64>) -> VideoSource {
    let list = FrameList::new(vec![image(4, 3); frames]);
    match fps {
        Some(fps) => list.fps(Ratio::whole(fps)).into(),
        None => list.into(),
    }
}

#[test]
fn images_and_videos_keep_their_order() {
    let processor = with_videos();
    let conversation = Conversation::from([
        Message::system().text("s"),
        Message::user().text("a").video(video(24, Some(8))).image(image(64, 8)).text("b").video(video(2, None)),
        Message::assistant().text("c"),
        Message::user().image(image(8, 64)),
    ]);
    let batch = processor.process(&[conversation], &RenderOptions::answer()).unwrap();
    let shapes: Vec<_> = batch.media[0].iter().map(|media| (matches!(media, Media::Video(_)), media.tiles())).collect();
    assert_eq!(shapes, [(true, 3), (false, 5), (true, 2), (false, 5)]);
    let prompt = &batch.prompts[0];
    let positions: Vec<_> =
        ["three frames from a 0:00:02", "<row_1_col_4>", "two frames from a 0:00:00", "<row_4_col_1>"]
            .iter()
            .map(|words| prompt.find(words).unwrap_or_else(|| panic!("{words} is missing in {prompt}")))
            .collect();
    assert!(positions.is_sorted(), "{positions:?}");
    assert_eq!(prompt.matches("<image>").count(), (3 + 5 + 2 + 5) * SEQ);
    // Batches with both images and videos are laid out by row.
    assert_eq!(batch.pixel_values().unwrap().shape, [1, 15, 3, 16, 16]);
}

/// Each message has its own options; estimates and truncation use them, too.
#[test]
fn messages_have_options_of_their_own() {
    let processor = with_videos();
    let overview = MediaOptions::default().image_splitting(false).video_frames(2);
    let small = MediaOptions::default().longest_edge(32).video_fps(2.0);
    let media = |message: Message| message.image(image(64, 64)).video(video(24, Some(8))).text("a");
    let conversation = Conversation::from([
        media(Message::user()).media_options(overview),
        Message::assistant().text("b"),
        media(Message::user()).media_options(small),
        Message::assistant().text("c"),
        media(Message::user()),
    ]);
    let tiles = |media: &[Media]| media.iter().map(Media::tiles).collect::<Vec<usize>>();
    let batch = processor.process(std::slice::from_ref(&conversation), &RenderOptions::answer()).unwrap();
    assert_eq!(tiles(&batch.media[0]), [1, 2, 5, 6, 17, 3]);
    let estimate = processor.estimate(&conversation, &RenderOptions::answer()).unwrap();
    assert_eq!((estimate.tiles, estimate.prompt_tokens), (34, batch.len));
    let room = batch.len - 1;
    let fitted = processor
        .prepare_with(&[conversation], &PrepareOptions::new(RenderOptions::answer()).max_tokens(room))
        .unwrap()
        .load()
        .unwrap();
    assert_eq!(tiles(&fitted.media[0]), [5, 6, 17, 3]);

    let fails =
        |options| processor.process(&[media(Message::user()).media_options(options).into()], &RenderOptions::answer());
    assert!(matches!(fails(MediaOptions::default().longest_edge(0)), Err(Error::Image { .. })));
    assert!(matches!(fails(MediaOptions::default().video_fps(f64::NAN)), Err(Error::Video { .. })));
}

#[test]
fn text_image_and_video_rows_can_be_batched() {
    let processor = with_videos();
    let conversations = [
        Conversation::from(Message::user().video(video(40, Some(8))).text("v")),
        Conversation::from(Message::user().text("t")),
        Conversation::from(Message::user().image(image(64, 8)).text("i")),
        Conversation::from(Message::user().video(video(16, Some(8))).text("v")),
    ];
    let batch = processor.process(&conversations, &RenderOptions::answer()).unwrap();
    for (row, conversation) in conversations.iter().enumerate() {
        let alone = processor.process(std::slice::from_ref(conversation), &RenderOptions::answer()).unwrap();
        assert_eq!(batch.prompts[row], alone.prompts[0]);
        assert_eq!(batch.media[row], alone.media[0]);
    }
    assert!(batch.prompts[3].contains("two frames"));
    let reference = with_videos().with_video_prompt_style(VideoPromptStyle::Reference);
    let batch = reference.process(&conversations, &RenderOptions::answer()).unwrap();
    assert!(batch.prompts[0].contains("five frames") && batch.prompts[3].contains("five frames"));

    // Batches with only videos are laid out by video, and their mask is 1 everywhere, as in the reference.
    let videos = [conversations[0].clone(), conversations[3].clone()];
    let pixels = processor.process(&videos, &RenderOptions::answer()).unwrap().pixel_values().unwrap();
    assert_eq!(pixels.shape, [2, 5, 3, 16, 16]);
    assert!(pixels.mask.iter().all(|&mask| mask == 1));
    let tile = 3 * 16 * 16;
    assert!(pixels.data[7 * tile..].iter().all(|&value| value == 0.0) && pixels.data[7 * tile - 1] != 0.0);
}

#[test]
fn video_errors_include_the_item() {
    let processor = with_videos();
    let fails = |message| processor.process(&[Conversation::from(message)], &RenderOptions::answer()).unwrap_err();
    let error = fails(Message::user().text("x").video("no/such.mp4"));
    assert!(matches!(&error, Error::Video { at, .. } if at.item == Some(1)), "{error}");
    assert!(matches!(fails(Message::user().video(Vec::new())), Error::Video { .. }));
    assert!(matches!(fails(Message::user().video("data:video/mp4;base64,@")), Error::Base64 { .. }));
    let error = fails(Message::user().video(FrameList::new(["no/such.png"])));
    assert!(matches!(error, Error::Video { .. }), "{error}");
    let error = fails(Message::user().video(video(2, None)).text("a <video> tag"));
    assert!(matches!(error, Error::VideoCount { placeholders: 2, videos: 1, typed_in: Some(0), .. }), "{error}");
    // Other checkpoints may have image tiles of a different size.
    let mut config = with_videos().config().clone();
    config.video.pixels.max_image_size = 32;
    let odd = with_videos().with_config(config).unwrap();
    let both = Conversation::from(Message::user().video(video(2, None)).image(image(4, 4)));
    assert!(matches!(odd.process(&[both], &RenderOptions::answer()), Err(Error::TileEdges { first: 32, other: 16 })));
}

/// Without videos, `<video>` is not a placeholder; the reference would reject the text.
#[test]
fn video_tag_is_text_without_videos() {
    let batch = processor()
        .process(&[Message::user().text("What does <video> mean in HTML?").into()], &RenderOptions::answer())
        .unwrap();
    assert!(batch.prompts[0].contains("<video>"));
}

/// Estimates of random conversations equal the counts of the batch.
#[test]
fn estimates_equal_batch_counts() {
    let mut random = Random(5);
    let policies =
        [ResizePolicy::Faithful, ResizePolicy::NoUpscale, ResizePolicy::MaxTiles(4), ResizePolicy::GlobalOnly];
    let processors = policies.map(|policy| {
        let mut config = with_videos().config().clone();
        config.image.resize_policy = policy;
        with_videos().with_config(config).unwrap()
    });
    for round in 0..10_000 {
        let processor = &processors[round % policies.len()];
        let messages = (0..=random.below(3)).map(|_| {
            let message = if random.below(3) == 0 { Message::assistant() } else { Message::user() };
            (0..=random.below(3)).fold(message, |message, _| match random.below(4) {
                0 => message.image(image(1 + random.below(90) as u32, 1 + random.below(90) as u32)),
                1 => message.video(video(1 + random.below(30), [None, Some(1), Some(7)][random.below(3)])),
                _ => message.text("words, 12 and é"),
            })
        });
        let conversation = Conversation::new(messages);
        let estimate = processor.estimate(&conversation, &RenderOptions::answer()).unwrap();
        let batch = processor.process(&[conversation], &RenderOptions::answer()).unwrap();
        assert_eq!(estimate.prompt_tokens, batch.len);
        assert_eq!(estimate.tiles, batch.tile_count());
        assert_eq!(estimate.image_tokens, batch.tile_count() * SEQ);
        assert_eq!(estimate.media, batch.media[0].iter().map(Media::plan).collect::<Vec<_>>());
    }
}

#[test]
fn estimate_reads_only_headers() {
    // Only the header of a PNG of 30000 x 20000 pixels and the start of its data.
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x75\x30\0\0\x4e\x20\x08\x02\0\0\0".to_vec();
    png.extend(crc(&png[12..]).to_be_bytes());
    png.extend(b"\0\0\0\x01IDAT\x78");
    png.extend(crc(b"IDAT\x78").to_be_bytes());
    let mut limits = smolvlm_processor::ProcessorLimits::default();
    limits.image.max_pixels = 1 << 30;
    let processor = with_videos().with_limits(limits);
    let question = Conversation::from(Message::user().image(png));
    let estimate = processor.estimate(&question, &RenderOptions::answer()).unwrap();
    assert_eq!((estimate.tiles, &estimate.media[..]), (13, &[MediaPlan::Image(common_grid(3, 4))][..]));
    assert!(processor.process(&[question], &RenderOptions::answer()).is_err());
}

fn common_grid(rows: u32, cols: u32) -> smolvlm_processor::TileGrid {
    smolvlm_processor::TileGrid { rows, cols }
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[test]
fn truncation_drops_oldest_turns_as_a_whole() {
    let processor = with_videos();
    let options = RenderOptions::answer();
    let conversation = Conversation::from([
        Message::system().text("s"),
        Message::user().image(image(64, 8)).text("first"),
        Message::assistant().text("one"),
        Message::user().image(image(8, 64)).text("second"),
        Message::assistant().text("two"),
        Message::user().text("third"),
    ]);
    let tokens = |conversation: &Conversation| processor.estimate(conversation, &options).unwrap().prompt_tokens;
    let whole = tokens(&conversation);
    assert_eq!(processor.fit(&conversation, &options, whole).unwrap().messages.len(), 6);
    let shorter = processor.fit(&conversation, &options, whole - 1).unwrap();
    let roles: Vec<_> = shorter.messages.iter().map(|message| message.role.as_str()).collect();
    assert_eq!(roles, ["system", "user", "assistant", "user"]);
    let shortest = processor.fit(&conversation, &options, tokens(&shorter) - 1).unwrap();
    assert_eq!(shortest.messages.len(), 2);
    let error = processor.fit(&conversation, &options, 3).unwrap_err();
    assert!(matches!(error, Error::TooLong { tokens, limit: 3 } if tokens > 3), "{error}");
}
