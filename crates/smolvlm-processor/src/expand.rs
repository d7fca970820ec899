//! Expansion of image and video placeholders to tile and frame tokens (transformers 5.24.0, processing_smolvlm.py).

use smolvlm_config::TileGrid;

use crate::error::Error;
use crate::plan::MediaPlan;
use crate::prompt::{Piece, Prompt};
use crate::tokenizer::SpecialTokens;
use crate::video_prompt::{OUTRO, VideoPromptStyle};

/// Maximum length of an expanded prompt in bytes, whatever the token limit: guards against extremely long token
/// strings.
const MAX_BYTES: usize = 1 << 30;

/// Kind of a placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Image,
    Video,
}

/// A rendered prompt, split at its placeholders.
pub(crate) struct Placeholders<'t> {
    parts: Vec<Part<'t>>,
}

enum Part<'t> {
    Text(&'t str),
    /// A user-typed control token, which is never a placeholder.
    Typed(&'t str),
    Placeholder(Kind),
    /// End of a piece of the prompt.
    End,
}

impl<'t> Placeholders<'t> {
    /// Finds the placeholders. That of an image is one only if the vocabulary has it. The video placeholder is plain
    /// text rather than a token and is recognized only if there are videos.
    pub(crate) fn find(prompt: &'t Prompt, special: &SpecialTokens, has_image_token: bool, has_videos: bool) -> Self {
        let image = has_image_token.then(|| (Kind::Image, special.image()));
        let video = has_videos.then(|| (Kind::Video, special.video()));
        let tokens: Vec<_> = [image, video].into_iter().flatten().filter(|(_, token)| !token.is_empty()).collect();
        let next = |text: &'t str| {
            let positions = tokens.iter().filter_map(|&(kind, token)| Some((text.find(token)?, kind, token.len())));
            positions.min_by_key(|&(at, ..)| at)
        };
        let mut parts = Vec::new();
        for piece in &prompt.pieces {
            let mut rest = match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Typed(token) => {
                    parts.push(Part::Typed(token));
                    continue;
                }
            };
            while let Some((at, kind, len)) = next(rest) {
                parts.extend([Part::Text(&rest[..at]), Part::Placeholder(kind)]);
                rest = &rest[at + len..];
            }
            parts.extend([Part::Text(rest), Part::End]);
        }
        Self { parts }
    }

    /// The kinds of the placeholders, in order.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder(kind) => Some(*kind),
            Part::Text(_) | Part::Typed(_) | Part::End => None,
        })
    }

    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.kinds().filter(|&found| found == kind).count()
    }
}

/// Parameters of placeholder expansion.
#[derive(Clone, Copy)]
pub(crate) struct Expansion<'a> {
    pub special: &'a SpecialTokens,
    /// Whether the vocabulary has the placeholder of images.
    pub has_image_token: bool,
    pub image_seq_len: usize,
    /// Maximum text length of an unexpanded prompt in bytes.
    pub max_bytes: usize,
    /// Maximum number of image tokens per prompt.
    pub max_tokens: usize,
    pub words: VideoPromptStyle,
    /// Frame count that the text of every video states; none for the video's actual count.
    pub announced: Option<usize>,
}

impl Expansion<'_> {
    /// Replaces the placeholders of a prompt by the token blocks of `media`; images and videos are each used in order.
    ///
    /// `row` is only used in error messages.
    pub(crate) fn expand(&self, prompt: &Prompt, media: &[MediaPlan], row: usize) -> Result<Prompt, Error> {
        let mut images = media.iter().filter(|plan| plan.frames().is_none());
        let mut videos = media.iter().filter(|plan| plan.frames().is_some());
        let (image_count, video_count) = (images.clone().count(), videos.clone().count());
        let placeholders = Placeholders::find(prompt, self.special, self.has_image_token, video_count > 0);
        check_counts(&placeholders, image_count, video_count, row, |_| None)?;
        self.check_length(prompt, media, row)?;
        let mut pieces = Vec::with_capacity(prompt.pieces.len());
        let mut out = String::new();
        for part in placeholders.parts {
            let plan = match part {
                Part::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Part::Typed(token) => {
                    pieces.push(Piece::Typed(token.to_owned()));
                    continue;
                }
                Part::End => {
                    pieces.push(Piece::Text(std::mem::take(&mut out)));
                    continue;
                }
                Part::Placeholder(Kind::Image) => images.next(),
                Part::Placeholder(Kind::Video) => videos.next(),
            };
            match plan {
                Some(MediaPlan::Image(grid)) => self.push_image(&mut out, *grid),
                Some(MediaPlan::Video(video)) => {
                    out.push_str(&self.words.intro(video, self.announced.unwrap_or(video.stamps.len())));
                    for stamp in &video.stamps {
                        out.push_str(&self.words.frame(stamp, video));
                        self.push_image(&mut out, TileGrid::WHOLE);
                    }
                    out.push_str(OUTRO);
                }
                None => {}
            }
        }
        Ok(Prompt { pieces })
    }

    /// Number of image tokens of all media.
    pub(crate) fn tokens(&self, media: &[MediaPlan]) -> usize {
        let tokens = media.iter().map(|plan| plan.tiles().saturating_mul(self.image_seq_len));
        tokens.fold(0, usize::saturating_add)
    }

    fn check_length(&self, prompt: &Prompt, media: &[MediaPlan], row: usize) -> Result<(), Error> {
        let text = prompt.len();
        if text > self.max_bytes {
            return Err(Error::PromptText { row, bytes: text, limit: self.max_bytes });
        }
        let tokens = self.tokens(media);
        let tiles = media.iter().map(MediaPlan::tiles).fold(0, usize::saturating_add);
        // The longest string may occur once per token, and a tile without tokens still has markers.
        let longest = self.special.image().len().max(self.special.fake_image().len() + 32);
        let bytes = tokens.saturating_add(tiles).saturating_mul(longest);
        if tokens > self.max_tokens || tiles > self.max_tokens || bytes > MAX_BYTES {
            return Err(Error::TooManyTokens { row, tokens: tokens.max(tiles), limit: self.max_tokens });
        }
        Ok(())
    }

    fn push_image(&self, out: &mut String, grid: TileGrid) {
        let (fake, features) = (self.special.fake_image(), self.special.image().repeat(self.image_seq_len));
        if grid.is_split() {
            for row in 1..=grid.rows {
                for col in 1..=grid.cols {
                    out.push_str(&format!("{fake}<row_{row}_col_{col}>{features}"));
                }
                out.push('\n');
            }
            out.push('\n');
        }
        out.push_str(&format!("{fake}{}{features}{fake}", self.special.global_image()));
    }
}

/// Checks that the placeholder counts match the image and video counts. `typed_in` finds the message whose text
/// contains a placeholder that the user typed.
pub(crate) fn check_counts(
    placeholders: &Placeholders<'_>,
    images: usize,
    videos: usize,
    row: usize,
    typed_in: impl Fn(Kind) -> Option<usize>,
) -> Result<(), Error> {
    let found = placeholders.count(Kind::Image);
    if found != images {
        return Err(Error::ImageCount { row, placeholders: found, images, typed_in: typed_in(Kind::Image) });
    }
    let found = placeholders.count(Kind::Video);
    if found != videos {
        return Err(Error::VideoCount { row, placeholders: found, videos, typed_in: typed_in(Kind::Video) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use smolvlm_video::{FrameStamp, Ratio, VideoMetadata, VideoPlan};

    fn run(text: &str, grids: &[(u32, u32)], seq: usize) -> Result<String, Error> {
        let grids: Vec<_> = grids.iter().map(|&(rows, cols)| MediaPlan::Image(TileGrid { rows, cols })).collect();
        expand(&expansion(&SpecialTokens::default(), seq), text, &grids, 3)
    }

    fn expand(expansion: &Expansion<'_>, text: &str, media: &[MediaPlan], row: usize) -> Result<String, Error> {
        Ok(expansion.expand(&text.to_owned().into(), media, row)?.to_string())
    }

    fn expansion(special: &SpecialTokens, image_seq_len: usize) -> Expansion<'_> {
        let words = VideoPromptStyle::PerVideo;
        Expansion {
            special,
            has_image_token: true,
            image_seq_len,
            max_bytes: 1000,
            max_tokens: 10_000,
            words,
            announced: None,
        }
    }

    #[test]
    fn unsplit_image_expands_to_one_global_block() {
        let block = "<fake_token_around_image><global-img><image><image><fake_token_around_image>";
        assert_eq!(run("a<image>b", &[(0, 0)], 2).unwrap(), format!("a{block}b"));
        assert_eq!(run("<image><image>", &[(0, 0), (0, 0)], 2).unwrap(), format!("{block}{block}"));
    }

    #[test]
    fn split_image_expands_to_tiles_then_global_tile() {
        let f = "<fake_token_around_image>";
        let wanted = format!(
            "{f}<row_1_col_1><image>{f}<row_1_col_2><image>\n{f}<row_2_col_1><image>{f}<row_2_col_2><image>\n\n\
             {f}<global-img><image>{f}"
        );
        assert_eq!(run("<image>", &[(2, 2)], 1).unwrap(), wanted);
    }

    #[test]
    fn each_image_placeholder_uses_its_own_grid() {
        let text = run("1<image>2<image>3", &[(1, 2), (0, 0)], 1).unwrap();
        let (first, second) = text.split_once('2').unwrap();
        // The first "2" belongs to the tile marker <row_1_col_2> of the first image.
        assert!(first.starts_with("1<fake_token_around_image><row_1_col_1><image>") && second.starts_with('>'));
        assert_eq!(text.matches("<image>").count(), 3 + 1);
        assert_eq!(text.matches("<global-img>").count(), 2);
    }

    #[test]
    fn tile_markers_beyond_six_are_written_as_text() {
        assert!(run("<image>", &[(10, 1)], 1).unwrap().contains("<row_10_col_1>"));
    }

    #[test]
    fn placeholder_count_mismatch_is_an_error() {
        for (text, grids, placeholders) in [("", 1, 0), ("<image>", 0, 1), ("<image><image>", 1, 2)] {
            match run(text, &vec![(0, 0); grids], 1) {
                Err(Error::ImageCount { row: 3, placeholders: p, images, typed_in: None }) => {
                    assert_eq!((p, images), (placeholders, grids));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn excessive_grids_and_lengths_are_errors() {
        for (grid, seq) in [((u32::MAX, u32::MAX), 1), ((0, 0), usize::MAX), ((200, 200), 0), ((0, 0), 10_001)] {
            assert!(matches!(run("<image>", &[grid], seq), Err(Error::TooManyTokens { .. })), "{grid:?} {seq}");
        }
    }

    #[test]
    fn text_limit_excludes_media_tokens() {
        let text = |bytes| format!("<image>{}", "a".repeat(bytes - "<image>".len()));
        assert!(run(&text(1000), &[(3, 3)], 64).is_ok());
        let error = run(&text(1001), &[(3, 3)], 64).unwrap_err();
        assert!(matches!(error, Error::PromptText { row: 3, bytes: 1001, limit: 1000 }), "{error}");
    }

    #[test]
    fn empty_placeholder_matches_nothing() {
        let special: SpecialTokens = [("image_token", "")].into_iter().collect();
        let media = [MediaPlan::Image(TileGrid::WHOLE)];
        let result = expand(&expansion(&special, 1), "ab", &media, 0);
        assert!(matches!(result, Err(Error::ImageCount { placeholders: 0, images: 1, .. })));
    }

    fn video(frames: usize) -> MediaPlan {
        let stamps = (0..frames).map(|index| FrameStamp { index: index * 8, time: None }).collect();
        let metadata = VideoMetadata { frames: 40, fps: Some(Ratio::whole(8)), duration: None, height: 1, width: 1 };
        MediaPlan::Video(VideoPlan { stamps, metadata, notes: Vec::new() })
    }

    #[test]
    fn video_expands_to_its_frames() {
        let special = SpecialTokens::default();
        let block = "<fake_token_around_image><global-img><image><fake_token_around_image>";
        let expected = format!(
            "a You are provided the following series of two frames from a 0:00:01 [H:MM:SS] video.\n\
             \nFrame from 00:00:{block}\nFrame from 00:01:{block}\n\n b"
        );
        assert_eq!(expand(&expansion(&special, 1), "a <video> b", &[video(2)], 0).unwrap(), expected);
        let announced = Expansion { announced: Some(9), ..expansion(&special, 1) };
        assert!(expand(&announced, "<video>", &[video(1)], 0).unwrap().contains("series of nine frames"));
    }

    #[test]
    fn typed_placeholders_are_not_expanded() {
        let pieces = ["<image>", "<video>", "b"].map(|text| Piece::Text(text.to_owned())).to_vec();
        let typed = |text: &str| Piece::Typed(text.to_owned());
        let prompt = Prompt { pieces: [vec![typed("<image>")], pieces, vec![typed("<video>")]].concat() };
        let special = SpecialTokens::default();
        let image = MediaPlan::Image(TileGrid::WHOLE);
        let expanded = expansion(&special, 1).expand(&prompt, &[image, video(1)], 0).unwrap();
        assert_eq!(expanded.pieces.len(), 5);
        assert_eq!((&expanded.pieces[0], &expanded.pieces[4]), (&typed("<image>"), &typed("<video>")));
        assert_eq!(expanded.to_string().matches("<image>").count(), 3);
        assert!(matches!(
            expansion(&special, 1).expand(&prompt, &[], 0),
            Err(Error::ImageCount { placeholders: 1, .. })
        ));
    }

    #[test]
    fn images_and_videos_can_be_mixed() {
        let special = SpecialTokens::default();
        let image = MediaPlan::Image(TileGrid { rows: 1, cols: 2 });
        let media = [image, video(1), video(2)];
        let text = expand(&expansion(&special, 1), "1<video>2<image>3<video>4", &media, 0).unwrap();
        let order: Vec<usize> = ["1You", "series of one", "2<fake", "<row_1_col_2>", "3You", "series of two", "\n\n4"]
            .iter()
            .map(|piece| text.find(piece).unwrap_or_else(|| panic!("{piece} is missing in {text}")))
            .collect();
        assert!(order.is_sorted(), "{order:?}");
        assert_eq!(text.matches("<image>").count(), 3 + 1 + 2);
    }

    #[test]
    fn video_placeholder_is_text_without_videos() {
        assert_eq!(run("the <video> tag", &[], 1).unwrap(), "the <video> tag");
        let special = SpecialTokens::default();
        let result = expand(&expansion(&special, 1), "<video><video>", &[video(1)], 5);
        assert!(matches!(result, Err(Error::VideoCount { row: 5, placeholders: 2, videos: 1, .. })));
    }

    /// Compares the video prompts with the reference for many frame counts, timestamps and durations.
    #[test]
    fn video_prompts_match_the_reference() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/processing/video_prompts.json");
        let cases: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let cases = cases.as_array().unwrap();
        assert!(cases.len() > 100);
        for case in cases {
            let ratio = |key: &str| case[key].as_f64().and_then(Ratio::from_f64);
            let indices = case["frames_indices"].as_array().unwrap();
            let stamp = |index: &serde_json::Value| FrameStamp { index: index.as_u64().unwrap() as usize, time: None };
            let metadata =
                VideoMetadata { frames: 0, fps: ratio("fps"), duration: ratio("duration"), height: 1, width: 1 };
            let stamps = indices.iter().map(stamp).collect();
            let video = VideoPlan { stamps, metadata, notes: Vec::new() };
            let announced = case["announced"].as_u64().map(|count| count as usize);
            let special = SpecialTokens::default();
            let expansion = Expansion { words: VideoPromptStyle::Reference, announced, ..expansion(&special, 4) };
            let text = expand(&expansion, "<video>", &[MediaPlan::Video(video)], 0).unwrap();
            assert_eq!(text, case["text"].as_str().unwrap(), "{case}");
        }
    }
}
