//! Comparison of tile geometry with the reference processor (transformers 5.24.0, torchvision backend).

use smolvlm_config::{Error, ImageProcessorConfig, PixelConfig, Preset, ResizePolicy, Size, TileGrid, TilePlan};

type Pair = (u32, u32);

/// Input size; then for a longest edge of 2048 with tiles of 512, and of 1536 with tiles of 384: size after the first
/// resize, after the second, rows and columns, tiles, tokens (64 and 81 per tile). Sizes are (height, width).
#[rustfmt::skip]
#[allow(clippy::type_complexity)]
const TABLE: &[(Pair, Pair, Pair, Pair, usize, usize, Pair, Pair, Pair, usize, usize)] = &[
    ((1, 1), (2048, 2048), (2048, 2048), (4, 4), 17, 1088, (1536, 1536), (1536, 1536), (4, 4), 17, 1377),
    ((1, 2), (1024, 2048), (1024, 2048), (2, 4), 9, 576, (768, 1536), (768, 1536), (2, 4), 9, 729),
    ((1, 100), (20, 2048), (512, 2048), (1, 4), 5, 320, (16, 1536), (384, 1536), (1, 4), 5, 405),
    ((1, 5000), (1, 2048), (512, 2048), (1, 4), 5, 320, (1, 1536), (384, 1536), (1, 4), 5, 405),
    ((5000, 1), (2048, 1), (2048, 512), (4, 1), 5, 320, (1536, 1), (1536, 384), (4, 1), 5, 405),
    ((2, 3), (1366, 2048), (1536, 2048), (3, 4), 13, 832, (1024, 1536), (1152, 1536), (3, 4), 13, 1053),
    ((17, 31), (1124, 2048), (1536, 2048), (3, 4), 13, 832, (842, 1536), (1152, 1536), (3, 4), 13, 1053),
    ((31, 17), (2048, 1124), (2048, 1536), (4, 3), 13, 832, (1536, 842), (1536, 1152), (4, 3), 13, 1053),
    ((64, 64), (2048, 2048), (2048, 2048), (4, 4), 17, 1088, (1536, 1536), (1536, 1536), (4, 4), 17, 1377),
    ((100, 80), (2048, 1638), (2048, 2048), (4, 4), 17, 1088, (1536, 1228), (1536, 1536), (4, 4), 17, 1377),
    ((224, 224), (2048, 2048), (2048, 2048), (4, 4), 17, 1088, (1536, 1536), (1536, 1536), (4, 4), 17, 1377),
    ((333, 500), (1364, 2048), (1536, 2048), (3, 4), 13, 832, (1022, 1536), (1152, 1536), (3, 4), 13, 1053),
    ((480, 640), (1536, 2048), (1536, 2048), (3, 4), 13, 832, (1152, 1536), (1152, 1536), (3, 4), 13, 1053),
    ((511, 513), (2040, 2048), (2048, 2048), (4, 4), 17, 1088, (1530, 1536), (1536, 1536), (4, 4), 17, 1377),
    ((512, 512), (2048, 2048), (2048, 2048), (4, 4), 17, 1088, (1536, 1536), (1536, 1536), (4, 4), 17, 1377),
    ((513, 512), (2048, 2044), (2048, 2048), (4, 4), 17, 1088, (1536, 1534), (1536, 1536), (4, 4), 17, 1377),
    ((512, 513), (2044, 2048), (2048, 2048), (4, 4), 17, 1088, (1534, 1536), (1536, 1536), (4, 4), 17, 1377),
    ((600, 1000), (1228, 2048), (1536, 2048), (3, 4), 13, 832, (922, 1536), (1152, 1536), (3, 4), 13, 1053),
    ((720, 1280), (1152, 2048), (1536, 2048), (3, 4), 13, 832, (864, 1536), (1152, 1536), (3, 4), 13, 1053),
    ((1080, 1920), (1152, 2048), (1536, 2048), (3, 4), 13, 832, (864, 1536), (1152, 1536), (3, 4), 13, 1053),
    ((1920, 1080), (2048, 1152), (2048, 1536), (4, 3), 13, 832, (1536, 864), (1536, 1152), (4, 3), 13, 1053),
    ((768, 1024), (1536, 2048), (1536, 2048), (3, 4), 13, 832, (1152, 1536), (1152, 1536), (3, 4), 13, 1053),
    ((1024, 1025), (2046, 2048), (2048, 2048), (4, 4), 17, 1088, (1534, 1536), (1536, 1536), (4, 4), 17, 1377),
    ((1023, 2047), (1024, 2048), (1024, 2048), (2, 4), 9, 576, (768, 1536), (768, 1536), (2, 4), 9, 729),
    ((1536, 2048), (1536, 2048), (1536, 2048), (3, 4), 13, 832, (1152, 1536), (1152, 1536), (3, 4), 13, 1053),
    ((2048, 2048), (2048, 2048), (2048, 2048), (4, 4), 17, 1088, (1536, 1536), (1536, 1536), (4, 4), 17, 1377),
    ((2049, 2048), (2048, 2048), (2048, 2048), (4, 4), 17, 1088, (1536, 1536), (1536, 1536), (4, 4), 17, 1377),
    ((3000, 4000), (1536, 2048), (1536, 2048), (3, 4), 13, 832, (1152, 1536), (1152, 1536), (3, 4), 13, 1053),
    ((4000, 3000), (2048, 1536), (2048, 1536), (4, 3), 13, 832, (1536, 1152), (1536, 1152), (4, 3), 13, 1053),
    ((4096, 4096), (2048, 2048), (2048, 2048), (4, 4), 17, 1088, (1536, 1536), (1536, 1536), (4, 4), 17, 1377),
    ((5000, 5000), (2048, 2048), (2048, 2048), (4, 4), 17, 1088, (1536, 1536), (1536, 1536), (4, 4), 17, 1377),
    ((10000, 500), (2048, 102), (2048, 512), (4, 1), 5, 320, (1536, 76), (1536, 384), (4, 1), 5, 405),
    ((500, 10000), (102, 2048), (512, 2048), (1, 4), 5, 320, (76, 1536), (384, 1536), (1, 4), 5, 405),
    ((100, 2048), (100, 2048), (512, 2048), (1, 4), 5, 320, (76, 1536), (384, 1536), (1, 4), 5, 405),
    ((2048, 513), (2048, 514), (2048, 1024), (4, 2), 9, 576, (1536, 384), (1536, 384), (4, 1), 5, 405),
    ((1025, 4096), (512, 2048), (512, 2048), (1, 4), 5, 320, (384, 1536), (384, 1536), (1, 4), 5, 405),
];

fn plan((height, width): Pair, config: &ImageProcessorConfig) -> TilePlan {
    TilePlan::new(height, width, config).unwrap()
}

fn grid((rows, cols): Pair) -> TileGrid {
    TileGrid { rows, cols }
}

fn longest_edge(edge: u32, tile: u32) -> ImageProcessorConfig {
    let pixels = PixelConfig { size: Size::LongestEdge(edge), max_image_size: tile, ..PixelConfig::default() };
    ImageProcessorConfig { pixels, ..ImageProcessorConfig::default() }
}

#[test]
fn sizes_match_the_reference_for_released_settings() {
    let large = Preset::Smol256M.processor().image;
    let small = Preset::Smol2B.processor().image;
    for &(size, a, b, split, tiles, tokens, a3, b3, split3, tiles3, tokens3) in TABLE {
        for (config, seq, a, b, split, tiles, tokens) in
            [(&large, 64, a, b, split, tiles, tokens), (&small, 81, a3, b3, split3, tiles3, tokens3)]
        {
            let plan = plan(size, config);
            assert_eq!((plan.resized, plan.stretched, plan.grid), (a, b, grid(split)), "{size:?}");
            assert_eq!(plan.grid.tiles(), tiles, "{size:?}");
            assert_eq!(plan.grid.image_tokens(seq), tokens, "{size:?}");
            assert_eq!(plan.tile, config.pixels.max_image_size);

            let whole = ImageProcessorConfig { do_image_splitting: false, ..config.clone() };
            let plan = TilePlan::new(size.0, size.1, &whole).unwrap();
            assert_eq!((plan.resized, plan.grid), (a, TileGrid::WHOLE), "{size:?}");
            assert_eq!(plan.stretched, (plan.tile, plan.tile));
            assert_eq!((plan.grid.tiles(), plan.grid.image_tokens(seq)), (1, seq));
        }
    }
}

#[test]
fn sizes_match_the_reference_for_other_settings() {
    let (mut keep, mut exact) = (longest_edge(2048, 512), longest_edge(2048, 512));
    keep.pixels.do_resize = false;
    exact.pixels.size = Size::Exact { height: 600, width: 700 };
    // (settings, size, rows and columns, tiles)
    for (config, size, split, tiles) in [
        (&keep, (300, 200), (0, 0), 1),
        (&keep, (512, 513), (2, 2), 5),
        (&keep, (700, 600), (2, 2), 5),
        (&keep, (5000, 100), (10, 1), 11),
        (&longest_edge(512, 512), (300, 200), (0, 0), 1),
        (&longest_edge(1000, 512), (300, 200), (2, 2), 5),
        (&longest_edge(700, 512), (200, 900), (1, 2), 3),
        (&exact, (300, 200), (2, 2), 5),
        (&longest_edge(5000, 1024), (400, 300), (4, 3), 13),
        (&ImageProcessorConfig::default(), (300, 400), (3, 4), 13),
    ] {
        let plan = plan(size, config);
        assert_eq!((plan.grid, plan.grid.tiles()), (grid(split), tiles), "{size:?} {config:?}");
    }
    assert_eq!(plan((300, 200), &keep).stretched, (512, 512));
    assert_eq!(plan((512, 513), &keep).stretched, (1024, 1024));
    assert_eq!(plan((300, 200), &exact).resized, (600, 700));
    // Edges above 4096 are reduced to it.
    assert_eq!(plan((400, 300), &longest_edge(5000, 1024)).resized, (4096, 3072));
}

#[test]
fn rounding_matches_the_reference() {
    // Exact arithmetic would give 226, 232, 352 and 94.
    for (size, edge, resized) in [
        ((75, 512), 1536, (224, 1536)),
        ((77, 512), 1536, (230, 1536)),
        ((117, 512), 1536, (350, 1536)),
        ((93, 512), 512, (92, 512)),
    ] {
        assert_eq!(plan(size, &longest_edge(edge, 512)).resized, resized, "{size:?}");
    }
    // With an odd edge, rounding to even makes the shorter side the longer one.
    assert_eq!(plan((40, 40), &longest_edge(1455, 512)).resized, (1456, 1455));
    assert_eq!(plan((40, 40), &longest_edge(4097, 512)).resized, (4096, 4095));
    // 49 * (1 / 49) is below one, which leaves the reference without pixels.
    let mut keep = longest_edge(2048, 7);
    keep.pixels.do_resize = false;
    assert_eq!(plan((49, 1), &keep).grid, grid((7, 1)));
}

#[test]
fn impossible_sizes_are_errors() {
    let config = longest_edge(2048, 512);
    for (height, width) in [(0, 5), (5, 0), (0, 0)] {
        let error = TilePlan::new(height, width, &config).unwrap_err();
        assert!(matches!(error, Error::EmptyImage { .. }), "{error}");
    }
    let exact = |height, width| {
        let mut config = config.clone();
        config.pixels.size = Size::Exact { height, width };
        config
    };
    for broken in [longest_edge(0, 512), longest_edge(2048, 0), exact(0, 5), exact(5, 0)] {
        assert!(matches!(TilePlan::new(3, 4, &broken), Err(Error::Invalid { .. })), "{broken:?}");
    }
    // The multiple of the tile edge above the width does not fit.
    let mut keep = longest_edge(2048, 2);
    keep.pixels.do_resize = false;
    assert!(matches!(TilePlan::new(3, u32::MAX, &keep), Err(Error::Invalid { .. })));
}

#[test]
fn most_tiles_of_an_image() {
    let config = Preset::Smol256M.processor().image;
    assert_eq!(config.max_tiles(), TABLE.iter().map(|row| row.4).max().unwrap());
    assert_eq!(longest_edge(512, 512).max_tiles(), 1);
    // Edges above 4096 are reduced to it.
    assert_eq!(longest_edge(u32::MAX, 1024).max_tiles(), 17);
    let few = ImageProcessorConfig { resize_policy: ResizePolicy::MaxTiles(5), ..config.clone() };
    assert_eq!(few.max_tiles(), 5);
    assert_eq!(ImageProcessorConfig { do_image_splitting: false, ..config }.max_tiles(), 1);
}

#[test]
fn token_counts_of_grids() {
    assert!(!TileGrid::WHOLE.is_split());
    assert_eq!(TileGrid::WHOLE.image_tokens(64), 64);
    assert_eq!(grid((3, 4)).image_tokens(81), 13 * 81);
    assert_eq!(grid((u32::MAX, u32::MAX)).image_tokens(usize::MAX), usize::MAX);
}
