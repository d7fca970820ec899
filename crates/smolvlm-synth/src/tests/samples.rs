//! Complete samples: determinism, format, files.

use std::collections::{HashMap, HashSet};
use std::fs;

use crate::corpus::vocabulary_corpus;
use crate::jsonl::write_jsonl;
use crate::kind::Kind;
use crate::picture::{Medium, Picture};
use crate::sample::{
    Sample, Turn, close_lines, close_up, few_characters, focused_sample, long_mixed_sample, mixed_sample, page, sample,
    single_shape,
};
use crate::scene_spec::{MIX, SceneSpec};
use crate::split::Split;

fn hash(mut hash: u64, bytes: &[u8]) -> u64 {
    for &byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

fn pictures(sample: &Sample) -> Vec<&Picture> {
    let pictures = sample.media.iter().flat_map(|medium| match medium {
        Medium::Image(picture) => vec![picture],
        Medium::Video { frames, .. } => frames.iter().collect(),
    });
    pictures.collect()
}

/// Trained models and reported figures belong to one version of the data set. If these hashes change, change the
/// version in [`Split::random`](crate::Split).
#[test]
fn samples_match_recorded_hashes() {
    let mut found = [0xcbf2_9ce4_8422_2325; 2];
    for index in 0..40 {
        let single = Kind::ALL.map(|kind| sample(kind, Split::Test, index));
        for sample in single.iter().chain([&mixed_sample(Split::Train, index)]) {
            for Turn { question, answer, .. } in &sample.turns {
                found[0] = hash(hash(found[0], question.as_bytes()), answer.as_bytes());
            }
            for picture in pictures(sample) {
                found[1] = hash(found[1], &picture.rgb);
            }
        }
    }
    assert_eq!(found, [0xb172_b86d_627c_d19b, 0x1bcc_3904_aaed_8534], "{found:#x?}");
}

#[test]
fn samples_are_well_formed() {
    for split in Split::ALL {
        for index in 0..200 {
            for kind in Kind::ALL {
                let sample = sample(kind, split, index);
                assert!(sample.turns.len() == 1 && sample.turns[0].kind == kind);
                well_formed(&sample);
            }
            for (several, small) in [
                (mixed_sample(split, index), false),
                (close_up(split, index), true),
                (few_characters(split, index), true),
                (close_lines(split, index), true),
                (single_shape(split, index), true),
                (page(split, index), false),
                (focused_sample(Kind::Place, split, index, 6), false),
            ] {
                let min_turns = if small { 1 } else { 2 };
                assert!((min_turns..=6).contains(&several.turns.len()), "{index}: {:?}", several.turns);
                let questions: HashSet<&str> = several.turns.iter().map(|turn| &turn.question[..]).collect();
                assert_eq!(questions.len(), several.turns.len());
                assert!(!small || pictures(&several)[0].width == 64);
                well_formed(&several);
            }
        }
    }
}

fn well_formed(sample: &Sample) {
    for picture in pictures(sample) {
        let sizes = [(128, 128), (128, 96), (96, 128), (64, 64)];
        assert!(sizes.contains(&(picture.width, picture.height)));
        assert_eq!(picture.rgb.len(), 3 * picture.width * picture.height);
    }
    for Turn { question, answer, .. } in &sample.turns {
        assert!(question.is_ascii() && question.len() < 80 && question.ends_with(['?', '.']), "{question}");
        assert!(!question.contains(['{', '}']), "{question}");
        assert!(answer.is_ascii() && (1..=200).contains(&answer.len()) && answer.trim() == answer, "{answer}");
        let verbatim = answer.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
        let sentence = answer.starts_with(|first: char| first.is_ascii_uppercase()) && answer.ends_with('.');
        assert!(verbatim != sentence, "{answer}");
    }
}

#[test]
fn long_mixed_samples_have_the_same_media_and_more_questions() {
    let turns = |sample: &Sample| sample.turns.len();
    let pairs: Vec<_> =
        (0..100).map(|index| (mixed_sample(Split::Train, index), long_mixed_sample(Split::Train, index, 12))).collect();
    assert!(pairs.iter().all(|(short, long)| short.media == long.media && turns(long) <= 12));
    let sum = |of: fn(&(Sample, Sample)) -> usize| pairs.iter().map(of).sum::<usize>();
    assert!(sum(|pair| pair.1.turns.len()) > 3 * sum(|pair| pair.0.turns.len()) / 2);
}

#[test]
fn families_have_documented_frequencies() {
    let mut counts = [0; MIX.len()];
    for index in 0..5000 {
        let family = match crate::sample::undrawn_sample(Split::Train, index, 6).0 {
            SceneSpec::Shapes(_) => 0,
            SceneSpec::Reading(_) => 1,
            SceneSpec::Chart(_) => 2,
            SceneSpec::Pair(_) => 3,
            SceneSpec::Clip(_) => 4,
            SceneSpec::Words => 5,
        };
        counts[family] += 1;
    }
    for (count, (family, weight)) in counts.into_iter().zip(MIX) {
        assert!((50 * weight).abs_diff(count) < 120, "{family:?}: {count}");
    }
}

/// No answer is so frequent that always giving it would score well.
#[test]
fn constant_answers_score_low() {
    for kind in Kind::ALL {
        let mut answers: HashMap<String, usize> = HashMap::new();
        for index in 0..500 {
            *answers.entry(sample(kind, Split::Test, index).turns.remove(0).answer).or_default() += 1;
        }
        let most = answers.values().max().copied().unwrap_or_default();
        assert!(most < 200, "{kind}: {most} of 500");
    }
}

#[test]
fn kind_names_round_trip() {
    for kind in Kind::ALL {
        assert_eq!(kind.as_str().parse::<Kind>().unwrap(), kind);
    }
    let error = "Colour".parse::<Kind>().unwrap_err().to_string();
    assert!(error.contains("\"Colour\"") && error.contains("describe, count, colour"), "{error}");
}

#[test]
fn corpus_excludes_printed_words() {
    let texts: Vec<String> = vocabulary_corpus(2000).collect();
    assert!(texts.iter().any(|text| text.contains("The ") && text.contains(" is now ")));
    let printed = |text: &str| text.len() > 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    assert!(!texts.iter().any(|text| printed(text)));
}

#[test]
fn written_files_are_conversations() {
    let folder = tempfile::tempdir().unwrap();
    let samples: Vec<Sample> = [Kind::Difference, Kind::Motion, Kind::Text]
        .into_iter()
        .map(|kind| sample(kind, Split::Test, 3))
        .chain([mixed_sample(Split::Test, 0)])
        .collect();
    assert_eq!(write_jsonl(folder.path(), samples.clone()).unwrap(), samples.len());
    let text = fs::read_to_string(folder.path().join("samples.jsonl")).unwrap();
    assert_eq!(text.lines().count(), samples.len());
    for (line, sample) in text.lines().zip(&samples) {
        let messages: serde_json::Value = serde_json::from_str(line).unwrap();
        let messages = messages.as_array().unwrap();
        assert_eq!(messages.len(), 2 * sample.turns.len());
        for (two, turn) in messages.chunks(2).zip(&sample.turns) {
            assert!(two[0]["role"] == "user" && two[1]["role"] == "assistant");
            let content = two[0]["content"].as_array().unwrap();
            assert_eq!(content[content.len() - 1], serde_json::json!({"type": "text", "text": turn.question}));
            assert_eq!(two[1]["content"], serde_json::json!([{"type": "text", "text": turn.answer}]));
        }
        let content = messages[0]["content"].as_array().unwrap();
        assert_eq!(content.len(), sample.media.len() + 1);
        for (item, medium) in content.iter().zip(&sample.media) {
            let (paths, pictures) = match medium {
                Medium::Image(picture) => (vec![&item["path"]], vec![picture]),
                Medium::Video { frames, fps } => {
                    assert!(item["type"] == "video" && item["fps"] == *fps);
                    (item["path"].as_array().unwrap().iter().collect(), frames.iter().collect())
                }
            };
            assert_eq!(paths.len(), pictures.len());
            for (path, picture) in paths.into_iter().zip(pictures) {
                let read = image::open(path.as_str().unwrap()).unwrap().into_rgb8();
                assert!(read.as_raw() == &picture.rgb && read.width() as usize == picture.width);
            }
        }
    }
}
