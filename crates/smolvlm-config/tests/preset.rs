//! Tests that the presets describe the released models.

use smolvlm_config::{Error, HiddenAct, Preset, RopeParameters, Size, TilePlan};

#[test]
fn presets_match_the_released_sizes() {
    // (preset, parameters, tokens per tile, longest edge, tile, patches along a tile, vision head, text head)
    for (preset, parameters, tokens, edge, tile, grid, vision_head) in [
        (Preset::Smol256M, 256_484_928, 64, 2048, 512, 32, 64),
        (Preset::Smol500M, 507_482_304, 64, 2048, 512, 32, 64),
        (Preset::Smol2B, 2_246_784_880, 81, 1536, 384, 27, 72),
    ] {
        let model = preset.model();
        model.validate().unwrap();
        assert_eq!((model.parameter_count(), model.image_seq_len()), (parameters, tokens), "{preset}");
        assert_eq!((model.vision.grid(), model.vision.head_dim(), model.text.head_dim), (grid, vision_head, 64));
        assert_eq!((model.vision.hidden_act, model.text.hidden_act), (HiddenAct::GeluTanh, HiddenAct::Silu));
        assert_eq!((model.text.rms_norm_eps, model.text.max_position_embeddings), (1e-5, 8192));
        assert_eq!((model.image_token_id, model.text.vocab_size), (49190, 49280));

        let processor = preset.processor();
        assert_eq!(processor.image_seq_len, tokens, "{preset}");
        assert_eq!(
            (processor.image.pixels.size, processor.image.pixels.max_image_size),
            (Size::LongestEdge(edge), tile)
        );
        assert_eq!(processor.image.pixels.max_image_size as usize, model.vision.image_size);
        assert_eq!((processor.video.fps, processor.video.num_frames), (Some(1.0), Some(64)));
        let template = processor.chat_template.unwrap();
        assert_eq!(template.chars().count(), 403);
        assert!(template.starts_with("<|im_start|>{% for message in messages %}"));

        let generation = preset.generation();
        assert_eq!((&generation.eos_token_ids[..], generation.pad_token_id), (&[49279][..], Some(2)));
    }
}

#[test]
fn tiny_preset_has_the_vocabulary_and_grids_of_the_256m_model() {
    let (tiny, released) = (Preset::Tiny.model(), Preset::Smol256M.model());
    tiny.validate().unwrap();
    assert!(tiny.parameter_count() < 7_000_000, "{}", tiny.parameter_count());
    assert_eq!((tiny.image_token_id, tiny.text.vocab_size), (released.image_token_id, released.text.vocab_size));
    let processor = Preset::Tiny.processor();
    assert_eq!((processor.image_seq_len, processor.image.pixels.max_image_size as usize), (4, tiny.vision.image_size));
    assert_eq!(tiny.image_seq_len(), 4);
    let grid = |preset: Preset| TilePlan::new(768, 1024, &preset.processor().image).unwrap().grid;
    assert_eq!(grid(Preset::Tiny), grid(Preset::Smol256M));
}

#[test]
fn rope_bases() {
    let theta = |preset: Preset| preset.model().text.rope.theta();
    let released = [Preset::Smol256M, Preset::Smol500M, Preset::Smol2B];
    assert_eq!(released.map(theta), [100_000.0, 100_000.0, 130_000.0]);
    let rope = Preset::Smol2B.model().text.rope;
    assert!(matches!(rope, RopeParameters::Default { .. }));
}

#[test]
fn names() {
    for preset in Preset::ALL {
        assert_eq!(preset.name().parse::<Preset>().unwrap(), preset);
        assert_eq!(preset.to_string().to_uppercase().parse::<Preset>().unwrap(), preset);
    }
    let error = "1b".parse::<Preset>().unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }));
    assert_eq!(error.to_string(), r#"`preset` is "1b", which is not supported; supported: 256m, 500m, 2.2b or tiny"#);
}
