//! Image placeholders to the tokens of their tiles (transformers 5.23.0, processing_smolvlm.py).

use smolvlm_config::TileGrid;

use crate::error::Error;
use crate::tokenizer::SpecialTokens;

/// Longest prompt in bytes that expansion builds, whatever the token limit: a guard for absurd token strings.
const MAX_BYTES: usize = 1 << 30;

/// Replaces the placeholders of `text`, in order, by the blocks of `grids`.
///
/// `row` only names the prompt in errors; `max_tokens` bounds the image tokens of the prompt.
pub(crate) fn expand(
    text: &str,
    grids: &[TileGrid],
    special: &SpecialTokens,
    image_seq_len: usize,
    max_tokens: usize,
    row: usize,
) -> Result<String, Error> {
    let placeholders = text.matches(special.image()).count();
    if placeholders != grids.len() {
        return Err(Error::ImageCount { row, placeholders, images: grids.len(), typed_in: None });
    }
    let tokens = image_tokens(grids, image_seq_len);
    // The longest piece may repeat once a token, and a tile without tokens still has its markers.
    let tiles = image_tokens(grids, 1);
    let longest = special.image().len().max(special.fake_image().len() + 32);
    let bytes = tokens.saturating_add(tiles).saturating_mul(longest);
    if tokens > max_tokens || tiles > max_tokens || bytes > MAX_BYTES {
        return Err(Error::TooManyTokens { row, tokens: tokens.max(tiles), limit: max_tokens });
    }
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split(special.image());
    out.push_str(parts.next().unwrap_or_default());
    for (part, grid) in parts.zip(grids) {
        push_image(&mut out, *grid, special, image_seq_len);
        out.push_str(part);
    }
    Ok(out)
}

/// Image tokens of all images.
pub(crate) fn image_tokens(grids: &[TileGrid], image_seq_len: usize) -> usize {
    grids.iter().fold(0, |sum: usize, grid| sum.saturating_add(grid.image_tokens(image_seq_len)))
}

fn push_image(out: &mut String, grid: TileGrid, special: &SpecialTokens, image_seq_len: usize) {
    let (fake, features) = (special.fake_image(), special.image().repeat(image_seq_len));
    if grid.is_split() {
        for row in 1..=grid.rows {
            for col in 1..=grid.cols {
                out.push_str(&format!("{fake}<row_{row}_col_{col}>{features}"));
            }
            out.push('\n');
        }
        out.push('\n');
    }
    out.push_str(&format!("{fake}{}{features}{fake}", special.global_image()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, grids: &[(u32, u32)], seq: usize) -> Result<String, Error> {
        let grids: Vec<_> = grids.iter().map(|&(rows, cols)| TileGrid { rows, cols }).collect();
        expand(text, &grids, &SpecialTokens::default(), seq, 10_000, 3)
    }

    #[test]
    fn an_unsplit_image_is_one_global_block() {
        let block = "<fake_token_around_image><global-img><image><image><fake_token_around_image>";
        assert_eq!(run("a<image>b", &[(0, 0)], 2).unwrap(), format!("a{block}b"));
        assert_eq!(run("<image><image>", &[(0, 0), (0, 0)], 2).unwrap(), format!("{block}{block}"));
    }

    #[test]
    fn a_split_image_lists_its_tiles_then_the_whole() {
        let f = "<fake_token_around_image>";
        let wanted = format!(
            "{f}<row_1_col_1><image>{f}<row_1_col_2><image>\n{f}<row_2_col_1><image>{f}<row_2_col_2><image>\n\n\
             {f}<global-img><image>{f}"
        );
        assert_eq!(run("<image>", &[(2, 2)], 1).unwrap(), wanted);
    }

    #[test]
    fn every_image_of_the_text_gets_its_own_grid() {
        let text = run("1<image>2<image>3", &[(1, 2), (0, 0)], 1).unwrap();
        let (first, second) = text.split_once('2').unwrap();
        // The first "2" belongs to the tile marker <row_1_col_2> of the first image.
        assert!(first.starts_with("1<fake_token_around_image><row_1_col_1><image>") && second.starts_with('>'));
        assert_eq!(text.matches("<image>").count(), 3 + 1);
        assert_eq!(text.matches("<global-img>").count(), 2);
    }

    #[test]
    fn tile_markers_are_plain_text_beyond_six() {
        assert!(run("<image>", &[(10, 1)], 1).unwrap().contains("<row_10_col_1>"));
    }

    #[test]
    fn counts_have_to_agree() {
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
    fn absurd_grids_and_lengths_are_errors() {
        for (grid, seq) in [((u32::MAX, u32::MAX), 1), ((0, 0), usize::MAX), ((200, 200), 0), ((0, 0), 10_001)] {
            assert!(matches!(run("<image>", &[grid], seq), Err(Error::TooManyTokens { .. })), "{grid:?} {seq}");
        }
    }

    #[test]
    fn an_empty_placeholder_does_not_loop() {
        let special: SpecialTokens = [("image_token", "")].into_iter().collect();
        let result = expand("ab", &[TileGrid { rows: 0, cols: 0 }; 3], &special, 1, 100, 0);
        assert!(result.is_ok());
    }
}
