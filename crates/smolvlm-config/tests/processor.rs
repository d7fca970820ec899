//! Tests of the processor configuration: file precedence, key names, legacy keys and errors.

use std::{fs, path::Path};

use serde_json::{Value, json};
use smolvlm_config::{
    DefaultPrompts, Error, ImageProcessorConfig, PixelConfig, Preset, ProcessorConfig, Resample, Size, TilePlan,
    VideoProcessorConfig,
};

/// A checkpoint directory with these files.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn load(files: &[(&str, &str)]) -> Result<ProcessorConfig, Error> {
    ProcessorConfig::from_directory(directory(files).path())
}

/// The configuration with this image section.
fn image(section: Value) -> Result<ImageProcessorConfig, Error> {
    load(&[("preprocessor_config.json", &section.to_string())]).map(|config| config.image)
}

fn video(section: Value) -> Result<VideoProcessorConfig, Error> {
    let text = json!({"image_processor": {}, "video_processor": section}).to_string();
    load(&[("processor_config.json", &text)]).map(|config| config.video)
}

#[test]
fn released_files() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/released-500m");
    let config = ProcessorConfig::from_directory(&data).unwrap();
    assert_eq!((config.image_seq_len, &config.chat_template), (64, &None));
    assert_eq!(
        config.image,
        ImageProcessorConfig {
            pixels: PixelConfig { size: Size::LongestEdge(2048), max_image_size: 512, ..PixelConfig::default() },
            ..ImageProcessorConfig::default()
        }
    );
    assert_eq!((config.image.pixels.rescale_factor, config.image.pixels.resample), (1.0 / 255.0, Resample::Lanczos));
    // `video_sampling.video_size` is 512, but `size` takes precedence.
    assert_eq!((config.video.pixels.size, config.video.pixels.max_image_size), (Size::LongestEdge(2048), 512));
    assert_eq!((config.video.fps, config.video.num_frames), (Some(1.0), Some(64)));
    assert_eq!((config.video.skip_secs, config.video.do_sample_frames), (1.0, false));
    let preset = Preset::Smol500M.processor();
    assert_eq!((preset.image, preset.video, preset.image_seq_len), (config.image, config.video, 64));
}

#[test]
fn default_prompts() {
    let read = |prompts: Value| {
        ProcessorConfig::from_json(&json!({"image_processor": {}, "default_prompts": prompts}).to_string())
    };
    let config = read(json!({"image": "Describe it.", "video": null, "other": 1})).unwrap();
    let expected = DefaultPrompts { image: Some("Describe it.".into()), ..DefaultPrompts::default() };
    assert_eq!(config.default_prompts, expected);
    assert_eq!(ProcessorConfig::from_json(&config.to_json()).unwrap(), config);
    assert!(!ProcessorConfig::default().to_json().contains("default_prompts"));
    let error = read(json!({"images": 7})).unwrap_err().to_string();
    assert!(error.contains("default_prompts.images"), "{error}");
}

#[test]
fn class_defaults() {
    let config = load(&[("preprocessor_config.json", "{}")]).unwrap();
    assert_eq!(config, ProcessorConfig::default());
    assert_eq!(config.image_seq_len, 169);
    assert_eq!((config.image.pixels.size, config.image.pixels.max_image_size), (Size::LongestEdge(1456), 364));
    assert_eq!((config.video.fps, config.video.num_frames), (None, None));
}

#[test]
fn first_source_takes_precedence() {
    let section = |tile: u32| json!({"max_image_size": {"longest_edge": tile}});
    let both = json!({"image_processor": section(1), "video_processor": section(2), "image_seq_len": 9}).to_string();
    let only_image = json!({"image_processor": section(1)}).to_string();
    let only_video = json!({"video_processor": section(2)}).to_string();
    let (video, preprocessor) = (section(3).to_string(), section(4).to_string());
    let nested = "processor_config.json";
    let (v, p) = ("video_preprocessor_config.json", "preprocessor_config.json");
    // (files, image tile, video tile)
    for (files, tiles) in [
        (vec![(nested, &both), (v, &video), (p, &preprocessor)], (1, 2)),
        (vec![(nested, &only_image), (v, &video), (p, &preprocessor)], (1, 3)),
        (vec![(nested, &only_image), (p, &preprocessor)], (1, 4)),
        (vec![(nested, &only_image)], (1, 1)),
        (vec![(nested, &only_video), (v, &video), (p, &preprocessor)], (4, 2)),
        (vec![(v, &video), (p, &preprocessor)], (4, 3)),
        (vec![(p, &preprocessor)], (4, 4)),
    ] {
        let files: Vec<(&str, &str)> = files.into_iter().map(|(name, text)| (name, text.as_str())).collect();
        let config = load(&files).unwrap();
        assert_eq!((config.image.pixels.max_image_size, config.video.pixels.max_image_size), tiles, "{files:?}");
    }
    assert_eq!(load(&[(nested, &both)]).unwrap().image_seq_len, 9);
    for files in [vec![], vec![(nested, "{}")], vec![(v, "{}")]] {
        let error = load(&files).unwrap_err();
        assert!(matches!(&error, Error::Read { path, .. } if path.ends_with(p)), "{error}");
    }
}

#[test]
fn chat_templates() {
    let named = r#"{"image_processor": {}, "chat_template": {"default": "D", "tool": "T"}}"#;
    let (p, jinja, legacy) = ("preprocessor_config.json", "chat_template.jinja", "chat_template.json");
    let nested = "processor_config.json";
    let tool = "chat_templates/tool.jinja";
    // (files, default template, whether there is a template named "tool")
    for (files, default, has_tool) in [
        (vec![], None, false),
        (vec![(jinja, "J\n")], Some("J\n"), false),
        (vec![(jinja, "J"), (tool, "T")], Some("J"), true),
        (vec![(tool, "T"), ("chat_templates/notes.txt", "N")], None, true),
        (vec![("chat_templates/default.jinja", "F"), (tool, "T")], Some("F"), true),
        (vec![(jinja, "J"), ("chat_templates/default.jinja", "F")], Some("J"), false),
        (vec![(jinja, "J"), (legacy, r#"{"chat_template": "L"}"#)], Some("L"), false),
        (vec![(jinja, "J"), (nested, r#"{"chat_template": "C"}"#)], Some("C"), false),
        (vec![(jinja, "J"), (nested, r#"{"chat_template": null}"#)], Some("J"), false),
        (vec![(nested, named), (tool, "other")], Some("D"), true),
    ] {
        let mut files = files;
        files.push((p, "{}"));
        let config = load(&files).unwrap();
        assert_eq!(config.chat_template.as_deref(), default, "{files:?}");
        assert_eq!(config.named_chat_templates.get("tool").map(String::as_str), has_tool.then_some("T"), "{files:?}");
        assert_eq!(config.named_chat_templates.len(), usize::from(has_tool), "{files:?}");
    }
    for (files, part) in [
        (vec![(legacy, r#"{"chat_template": "L"}"#), (tool, "T")], "cannot be used together with"),
        (vec![(legacy, "{}")], "chat_template: is missing"),
        (vec![(legacy, "[]")], "must be a JSON object"),
        (vec![(legacy, "x")], "not valid JSON"),
        (
            vec![(nested, r#"{"chat_template": 5}"#)],
            "`chat_template` must be a string, or an object of strings, found 5",
        ),
        (vec![(nested, r#"{"chat_template": {"default": 5}}"#)], "`chat_template` must be a string"),
    ] {
        let mut files = files;
        files.push((p, "{}"));
        let error = load(&files).unwrap_err().to_string();
        assert!(error.contains(part), "{files:?}: {error}");
    }
}

#[test]
fn size_notations_are_parsed() {
    let exact = |height, width| Size::Exact { height, width };
    for (size, expected) in [
        (json!({"longest_edge": 2048}), Size::LongestEdge(2048)),
        (json!({"longest_edge": 7, "shortest_edge": 5}), Size::LongestEdge(7)),
        (json!({"height": 3, "width": 4}), exact(3, 4)),
        (json!(512), exact(512, 512)),
        (json!([3, 4]), exact(3, 4)),
    ] {
        assert_eq!(image(json!({"size": size})).unwrap().pixels.size, expected);
    }
    let keys = "size: must hold either longest_edge or height and width, holds";
    for (size, message) in [
        (json!({"shortest_edge": 5}), format!("{keys} shortest_edge")),
        (json!({"height": 5}), format!("{keys} height")),
        (json!({"longest_edge": 5, "height": 7, "width": 8}), format!("{keys} height, longest_edge, width")),
        (json!({"max_height": 5, "max_width": 6}), format!("{keys} max_height, max_width")),
        (json!({"foo": 1}), format!("{keys} foo")),
        (json!({}), format!("{keys} nothing")),
        (json!({"longest_edge": "5"}), "`size.longest_edge` must be an integer from 1 to 2147483647, found the string \"5\"".to_owned()),
        (json!({"longest_edge": 0}), "`size.longest_edge` must be an integer from 1 to 2147483647, found 0".to_owned()),
        (json!({"height": 70_000, "width": 5}), "size.height: must be at most 65536, is 70000".to_owned()),
        (json!(null), "`size` must be an object with longest_edge or height and width, a list [height, width], or an integer, all from 1 to 2147483647, found null".to_owned()),
        (json!([1, 2, 3]), "found a list of 3".to_owned()),
        (json!(-5), "found -5".to_owned()),
        (json!("big"), "found the string \"big\"".to_owned()),
    ] {
        let error = image(json!({"size": size.clone()})).unwrap_err().to_string();
        assert!(error.ends_with(&message), "{size}: {error}");
    }
}

#[test]
fn image_keys_are_validated() {
    let filters =
        [Resample::Nearest, Resample::Lanczos, Resample::Bilinear, Resample::Bicubic, Resample::Box, Resample::Hamming];
    for (number, filter) in filters.into_iter().enumerate() {
        assert_eq!(image(json!({"resample": number})).unwrap().pixels.resample, filter);
        assert_eq!(usize::from(filter.number()), number);
    }
    // Null turns a flag off, as in the reference.
    let off = image(json!({"do_resize": null, "do_pad": null, "do_normalize": false})).unwrap();
    assert_eq!(
        (off.pixels.do_resize, off.pixels.do_pad, off.pixels.do_normalize, off.pixels.do_rescale),
        (false, false, false, true)
    );
    let means = image(json!({"image_mean": 0.25, "image_std": [1, 2.5, 3]})).unwrap();
    assert_eq!((means.pixels.image_mean, means.pixels.image_std), ([0.25; 3], [1.0, 2.5, 3.0]));
    for name in
        ["SmolVLMImageProcessor", "SmolVLMImageProcessorFast", "SmolVLMImageProcessorPil", "Idefics3ImageProcessorFast"]
    {
        image(json!({"image_processor_type": name})).unwrap();
    }
    for (keys, part) in [
        (json!({"image_processor_type": "CLIPImageProcessor"}), "\"CLIPImageProcessor\", which is not supported"),
        (json!({"resample": 9}), "`resample` is \"9\", which is not supported; supported: 0 nearest, 1 lanczos"),
        (json!({"resample": "lanczos"}), "`resample` must be an integer"),
        (json!({"resample": null}), "`resample` must be an integer from 0 to 2147483647, found null"),
        (json!({"max_image_size": 512}), "`max_image_size` must be a JSON object, found 512"),
        (json!({"max_image_size": null}), "`max_image_size` must be an object with longest_edge, found null"),
        (json!({"max_image_size": {"height": 5}}), "must be an object with longest_edge, found an object with 1 keys"),
        (
            json!({"max_image_size": {"longest_edge": 1 << 20}}),
            "max_image_size.longest_edge: must be at most 16384, is 1048576",
        ),
        (
            json!({"image_mean": [0.5, 0.5]}),
            "`image_mean` must be a list of three numbers, or one number, found a list of 2",
        ),
        (json!({"image_mean": null}), "`image_mean` must be"),
        (json!({"image_std": 0}), "image_std: must be finite and not 0, is 0"),
        (json!({"do_rescale": "yes"}), "`do_rescale` must be true or false, found the string \"yes\""),
        (json!({"rescale_factor": null}), "`rescale_factor` must be a number, found null"),
    ] {
        let error = image(keys.clone()).unwrap_err().to_string();
        assert!(error.contains(part), "{keys}: {error}");
        assert!(error.contains("preprocessor_config.json") || error.contains(": must be"), "{error}");
    }
    let nested = json!({"image_processor": {"resample": "x"}}).to_string();
    let error = load(&[("processor_config.json", &nested)]).unwrap_err().to_string();
    assert!(error.contains("processor_config.json: `image_processor.resample` must be"), "{error}");
    let error = load(&[("processor_config.json", r#"{"image_seq_len": 0, "image_processor": {}}"#)]).unwrap_err();
    assert_eq!(error.to_string(), "image_seq_len: must be from 1 to 2147483647, is 0");
}

#[test]
fn legacy_video_sampling_is_parsed() {
    let sampling = json!({"fps": 1, "max_frames": 64, "video_size": {"longest_edge": 512}});
    let without_size = json!({"fps": 1, "max_frames": 64});
    for (section, size, fps, frames) in [
        (json!({}), Size::LongestEdge(1456), None, None),
        (json!({"fps": 2.5, "num_frames": 8}), Size::LongestEdge(1456), Some(2.5), Some(8)),
        (json!({"video_sampling": sampling}), Size::LongestEdge(512), Some(1.0), Some(64)),
        (json!({"video_sampling": null}), Size::LongestEdge(1456), None, None),
        (
            json!({"video_sampling": sampling, "size": {"longest_edge": 2048}}),
            Size::LongestEdge(2048),
            Some(1.0),
            Some(64),
        ),
        (json!({"video_sampling": without_size, "size": 9}), Size::Exact { height: 9, width: 9 }, Some(1.0), Some(64)),
        (json!({"video_sampling": sampling, "fps": 3, "num_frames": 4}), Size::LongestEdge(512), Some(1.0), Some(64)),
    ] {
        let config = video(section.clone()).unwrap();
        assert_eq!((config.pixels.size, config.fps, config.num_frames), (size, fps, frames), "{section}");
    }
    for (section, part) in [
        (json!({"video_sampling": without_size}), "video_processor.video_sampling.video_size: is missing"),
        (json!({"video_sampling": {}}), "video_processor.video_sampling.fps: is missing"),
        (json!({"video_sampling": {"fps": 1}}), "video_processor.video_sampling.max_frames: is missing"),
        (json!({"video_sampling": 5}), "`video_processor.video_sampling` must be a JSON object, found 5"),
        (json!({"fps": "1"}), "`video_processor.fps` must be a number"),
        (json!({"num_frames": 1.5}), "`video_processor.num_frames` must be an integer"),
        (json!({"fps": -1}), "fps: must be a non-negative number, is -1"),
        (json!({"video_processor_type": "LlavaVideoProcessor"}), "\"LlavaVideoProcessor\", which is not supported"),
    ] {
        let error = video(section.clone()).unwrap_err().to_string();
        assert!(error.contains(part), "{section}: {error}");
    }
    let config = video(json!({"do_sample_frames": true, "skip_secs": 0, "size": {"longest_edge": 2048}})).unwrap();
    assert_eq!((config.do_sample_frames, config.skip_secs), (true, 0.0));
    let plan = TilePlan::new(480, 640, &config.frame()).unwrap();
    assert_eq!((plan.resized, plan.stretched, plan.grid.tiles()), ((1536, 2048), (364, 364), 1));
}

#[test]
fn json_round_trips() {
    let odd = json!({
        "size": [5, 6], "resample": 4, "max_image_size": {"longest_edge": 9}, "do_image_splitting": false,
        "rescale_factor": 0.1, "image_mean": [0.1, 0.2, 0.3], "do_rescale": false, "do_convert_rgb": false,
    });
    let mut other = odd.clone();
    other["fps"] = json!(0.3);
    other["skip_secs"] = json!(0.7);
    other["do_sample_frames"] = json!(true);
    let section = json!({
        "image_processor": odd, "video_processor": other, "image_seq_len": 3,
        "chat_template": {"default": "a\n{{ b }}", "second": "c"},
    });
    let mut configs = vec![ProcessorConfig::from_json(&section.to_string()).unwrap(), ProcessorConfig::default()];
    configs.extend(Preset::ALL.map(|preset| preset.processor()));
    let mut unnamed = configs[0].clone();
    unnamed.chat_template = None;
    configs.push(unnamed);
    for config in configs {
        let text = config.to_json();
        assert_eq!(ProcessorConfig::from_json(&text).unwrap(), config);
        assert_eq!(load(&[("processor_config.json", &text)]).unwrap(), config);
    }
    let error = ProcessorConfig::from_json("{}").unwrap_err().to_string();
    assert_eq!(error, "image_processor: is missing; older checkpoints keep it in preprocessor_config.json");
}
