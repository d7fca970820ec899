//! Videos against the reference: sampling, prompts, pixels and tokens, given the same decoded frames.

use serde_json::{Value, json};
use smolvlm::processor::{FrameList, MediaPlan, Processor, RenderOptions};
use smolvlm::{
    Conversation, ImageSource, Message, Options, Ratio, Rgb, SamplingParams, SmolVlm, Source, VideoPromptStyle,
};
use smolvlm_tests::{
    Case, Checkpoint, assert_pixels, assert_prompts, checkpoints, crc32, exact, golden_root, lcg_bytes, read_json, rows,
};
use smolvlm_video::{FramePlan, VideoMetadata};

/// Generates the frames of a golden case, by the formula of the golden scripts.
fn frames(spec: &Value) -> FrameList {
    let number = |key: &str| spec[key].as_u64().unwrap();
    let ratio = |key: &str| spec[key].as_f64().and_then(Ratio::from_f64);
    let (width, height) = (number("width") as u32, number("height") as u32);
    let frame = |index| {
        let data = lcg_bytes(number("seed") + index, (3 * width * height) as usize);
        ImageSource::from(Rgb::new(width, height, data).unwrap())
    };
    let mut list = FrameList::new((0..number("frames")).map(frame));
    list.fps = ratio("fps");
    list.duration = ratio("duration");
    list
}

fn conversations(case: &Case) -> Vec<Conversation> {
    let message = |message: &Value| {
        let start = Message::new(message["role"].as_str().unwrap());
        message["content"].as_array().unwrap().iter().fold(start, |message, item| {
            match item["type"].as_str().unwrap() {
                "text" => message.text(item["text"].as_str().unwrap()),
                "video" => message.video(frames(&item["frames"])),
                other => panic!("{}: {other}", case.name),
            }
        })
    };
    rows::<Value>(&case.expected["conversations"])
        .iter()
        .map(|conversation| Conversation::new(conversation.iter().map(message)))
        .collect()
}

/// Returns the case's overrides of the checkpoint's video processor. `do_sample_frames: false` needs no option here:
/// such frames have no rate, or a rate at which all are sampled.
fn options(case: &Case, words: VideoPromptStyle) -> Options {
    let overrides = case.expected["video_processor"].as_object().unwrap();
    assert!(overrides.keys().all(|key| ["fps", "num_frames", "do_sample_frames"].contains(&key.as_str())));
    Options {
        video_fps: overrides.get("fps").and_then(Value::as_f64),
        video_frames: overrides.get("num_frames").and_then(Value::as_u64).map(|count| count as u32),
        video_prompt_style: words,
        ..exact()
    }
}

fn processor(checkpoint: &Checkpoint, case: &Case, words: VideoPromptStyle) -> Processor {
    SmolVlm::load_processor(Source::directory(checkpoint.model()), &options(case, words), &mut |_| {}).unwrap()
}

#[test]
fn prompts_frames_and_pixels() {
    let mut count = 0;
    for checkpoint in checkpoints() {
        for case in checkpoint.video_cases() {
            count += 1;
            let (expected, conversations) = (&case.expected, conversations(&case));
            let reference = processor(&checkpoint, &case, VideoPromptStyle::Reference);
            let batch = assert_prompts(&case, &reference, &conversations);
            let indices = batch.media.iter().map(|row| row.iter().map(|media| indices(&media.plan())).collect());
            assert_eq!(json!(indices.collect::<Vec<Vec<_>>>()), expected["frames_indices"], "{}", case.name);
            assert_pixels(&case, &batch);

            // Our own prompt text: every video states its own number of frames.
            let own = processor(&checkpoint, &case, VideoPromptStyle::PerVideo);
            let batch = own.process(&conversations, &RenderOptions::answer()).unwrap();
            assert_eq!(json!(batch.prompts), expected["prompts_own_count"], "{}", case.name);
        }
    }
    assert!(count > 30, "only {count} video cases");
}

fn indices(plan: &MediaPlan) -> Vec<usize> {
    match plan {
        MediaPlan::Video(video) => video.stamps.iter().map(|stamp| stamp.index).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn greedy_tokens() {
    for checkpoint in checkpoints() {
        for case in checkpoint.video_cases() {
            for (words, key) in
                [(VideoPromptStyle::Reference, "generated"), (VideoPromptStyle::PerVideo, "generated_alone")]
            {
                let model = SmolVlm::load(Source::directory(checkpoint.model()), options(&case, words)).unwrap();
                let limit = case.expected["max_new_tokens"].as_u64().unwrap() as usize;
                let params = model.sampling().max_new_tokens(limit);
                let answers = model.batch(&conversations(&case), params.clone()).unwrap();
                let tokens: Vec<&[u32]> = answers.iter().map(|answer| &*answer.token_ids).collect();
                assert_eq!(json!(tokens), case.expected[key], "{} {key}", case.name);
            }
        }
    }
}

#[test]
fn sampling() {
    let cases = read_json(&golden_root().join("processing/video_sampling.json"));
    let cases = cases.as_array().unwrap();
    assert!(cases.len() > 300);
    for case in cases {
        let number = |value: &Value| value.as_u64().unwrap();
        let fps = Ratio::new(number(&case["F"][0]), number(&case["F"][1])).unwrap();
        let video = VideoMetadata {
            frames: number(&case["n"]) as usize,
            fps: Some(fps),
            duration: case["D"].as_f64().and_then(Ratio::from_f64),
            height: 1,
            width: 1,
        };
        let config = smolvlm::config::VideoProcessorConfig {
            fps: case["fps"].as_f64(),
            num_frames: Some(number(&case["num_frames"]) as u32),
            skip_secs: case["skip_secs"].as_f64().unwrap(),
            ..Default::default()
        };
        let found = FramePlan::new(&video, &config).indices;
        if case["indices"].is_array() {
            assert_eq!(json!(found), case["indices"], "{case}");
            continue;
        }
        assert_eq!(json!(found.len()), case["count"], "{case}");
        let ends = (&found[..8], &found[found.len() - 8..]);
        assert_eq!((json!(ends.0), json!(ends.1)), (case["first"].clone(), case["last"].clone()), "{case}");
        let bytes = found.iter().flat_map(|&index| (index as u32).to_le_bytes());
        assert_eq!(json!(crc32(bytes)), case["crc32"], "{case}");
    }
}

/// Images and videos in one conversation: the same answers alone and in a mixed batch.
#[test]
fn images_and_videos_together() {
    let checkpoint = checkpoints().into_iter().find(|checkpoint| checkpoint.name == "gqa-256m").unwrap();
    let model = SmolVlm::load(Source::directory(checkpoint.model()), exact()).unwrap();
    let video = |frames: u64| json!({"seed": 3, "frames": frames, "width": 24, "height": 16, "fps": 8, "duration": frames as f64 / 8.0});
    let image = golden_root().join("media/size-17x31.png");
    let conversations = [
        Conversation::from(
            Message::user().video(frames(&video(24))).text("or").image(&*image).video(frames(&video(8))).text("?"),
        ),
        Conversation::from(Message::user().text("Only words.")),
        Conversation::from(Message::user().image(&*image).text("One image.")),
    ];
    let params = SamplingParams::greedy().max_new_tokens(8);
    let together = model.batch(&conversations, params.clone()).unwrap();
    for (conversation, answer) in conversations.iter().zip(&together) {
        let alone = model.generate(conversation.clone(), params.clone()).unwrap();
        assert_eq!((&alone.token_ids, alone.prompt_tokens), (&answer.token_ids, answer.prompt_tokens));
    }
    // The order of media matters.
    let swapped =
        Message::user().image(&*image).text("or").video(frames(&video(24))).video(frames(&video(8))).text("?");
    let swapped = model.generate(swapped, params).unwrap();
    assert_eq!(swapped.prompt_tokens, together[0].prompt_tokens);
    assert_ne!(swapped.token_ids, together[0].token_ids);
}

/// A video file gives the same prompt and pixels as a list of its frames.
#[test]
fn container_equals_its_list_of_frames() {
    use smolvlm_video::{Error, Limits, VideoInput, open};
    let path = golden_root().join("../corpus/clips/plain.mp4");
    let mut source = match open(VideoInput::Path(&path), &Limits::default()) {
        Ok(source) => source,
        // Neither FFmpeg's libraries nor its programs are available.
        Err(Error::File { source, .. }) if matches!(*source, Error::NeedsFfmpeg { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let all: Vec<usize> = (0..source.metadata().frames).collect();
    let mut images = Vec::new();
    let mut keep = |_, image: &Rgb| {
        images.push(ImageSource::from(image.clone()));
        Ok(())
    };
    source.read(&all, &mut keep).unwrap();
    let list = FrameList::new(images);
    let list = list.fps(Ratio::whole(8)).duration(Ratio::whole(5));
    let checkpoint = checkpoints().into_iter().find(|checkpoint| checkpoint.name == "gqa-256m").unwrap();
    let source = Source::directory(checkpoint.model());
    let processor = SmolVlm::load_processor(source, &exact(), &mut |_| {}).unwrap();
    let batch = |message: Message| processor.process(&[message.into()], &RenderOptions::answer()).unwrap();
    let (file, frames) = (batch(Message::user().video(&*path)), batch(Message::user().video(list)));
    assert_eq!(file.prompts, frames.prompts);
    assert_eq!(file.media[0][0].pixels(), frames.media[0][0].pixels());
}
