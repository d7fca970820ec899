//! The trained demo model against the reference, and against itself in other number formats: random weights cannot show
//! whether answers about images remain correct.

use serde_json::{Value, json};
use smolvlm::{Conversation, Dtype, Message, Options, Rgb, SmolVlm, Source};
use smolvlm_synth::{Kind, Split, is_right, sample, write_jsonl};
use smolvlm_tests::{crc32, exact, golden_root, read_json};
use tempfile::TempDir;

/// Questions of each kind in the goldens.
const OF_EACH: u64 = 16;
/// Those of each kind that CI asks.
const SAMPLED: usize = 4;
/// Conversations in a batch.
const BATCH: usize = 8;

/// Returns the first questions of these kinds, and the folder that contains their images.
fn questions(kinds: &[Kind], of_each: u64) -> (TempDir, Vec<Conversation>) {
    let folder = tempfile::tempdir().unwrap();
    let samples = kinds.iter().flat_map(|&kind| (0..of_each).map(move |index| sample(kind, Split::Test, index)));
    write_jsonl(folder.path(), samples).unwrap();
    let lines = std::fs::read_to_string(folder.path().join("samples.jsonl")).unwrap();
    let question = |line: &str| {
        let messages: Value = serde_json::from_str(line).unwrap();
        Conversation::from_json(&json!([messages[0]]).to_string()).unwrap()
    };
    (folder, lines.lines().map(question).collect())
}

fn answers(model: &SmolVlm, questions: &[Conversation]) -> Vec<String> {
    let batch = |questions| model.batch(questions, model.sampling()).unwrap();
    questions.chunks(BATCH).flat_map(batch).map(|answer| answer.text).collect()
}

#[test]
fn answers_equal_the_reference() {
    compare_answers(OF_EACH as usize / SAMPLED);
}

#[test]
#[ignore = "takes minutes; `cargo xtask golden` runs it"]
fn all_answers_equal_the_reference() {
    compare_answers(1);
}

/// Compares every `step`th answer.
fn compare_answers(step: usize) {
    let golden = read_json(&golden_root().join("demo/answers.json"));
    let weights = u64::from(crc32(smolvlm::demo::WEIGHTS.iter().copied()));
    assert_eq!(
        golden["weights_crc32"], weights,
        "goldens of another checkpoint; regenerate them with `cargo xtask golden --write`"
    );
    let expected: Vec<(String, String)> = serde_json::from_value(golden["answers"].clone()).unwrap();
    let (_folder, questions) = questions(&Kind::ALL, OF_EACH);
    assert_eq!(questions.len(), expected.len());
    let questions: Vec<Conversation> = questions.into_iter().step_by(step).collect();
    let model = SmolVlm::load(Source::demo(), exact()).unwrap();
    let found = answers(&model, &questions);
    let pairs = found.iter().zip(expected.iter().step_by(step));
    let different: Vec<_> = pairs.filter(|(answer, (_, expected))| *answer != expected).collect();
    assert!(different.is_empty(), "{} of {}: {different:#?}", different.len(), found.len());
}

/// Most answers are the same in every format; those that differ are near-ties, of which a model this small has many.
#[test]
fn answers_agree_across_number_formats() {
    let (_folder, questions) = questions(&Kind::ALL, 2);
    let exact = answers(&SmolVlm::load(Source::demo(), exact()).unwrap(), &questions);
    for (dtype, min_share) in [(Dtype::Bf16, 0.9), (Dtype::Q8, 0.85), (Dtype::Q4, 0.6)] {
        let model = SmolVlm::load(Source::demo(), Options { dtype, ..Options::default() }).unwrap();
        let same = answers(&model, &questions).iter().zip(&exact).filter(|(a, b)| a == b).count();
        println!("{dtype:?}: {same} of {} answers as in f32", questions.len());
        assert!(same as f64 >= min_share * questions.len() as f64, "{dtype:?}: {same} of {}", questions.len());
    }
}

/// Printed words are too small to read in the global tile alone.
#[test]
fn words_are_read_in_tiles_only() {
    const WORDS: u64 = 24;
    let (_folder, questions) = questions(&[Kind::Read], WORDS);
    let asked: Vec<_> = (0..WORDS).map(|index| sample(Kind::Read, Split::Test, index).turns.remove(0)).collect();
    let [tiles, whole] = [true, false].map(|splitting| {
        let options = Options { image_splitting: Some(splitting), ..exact() };
        let found = answers(&SmolVlm::load(Source::demo(), options).unwrap(), &questions);
        asked.iter().zip(&found).filter(|(turn, answer)| is_right(turn, answer)).count()
    });
    println!("read of {WORDS}: {tiles} in tiles, {whole} in the global tile only");
    assert!(tiles > 18 && whole < 6, "{tiles} in tiles, {whole} in the global tile only");
}

/// Returns the answer to a question about one image.
fn ask(model: &SmolVlm, picture: Rgb, question: &str) -> String {
    model.chat([Message::user().image(picture).text(question)]).unwrap().text().to_owned()
}

/// Plain drawings whose size differs from the training images.
#[test]
fn circle_is_described_and_word_is_read() {
    let model = SmolVlm::load(Source::demo(), exact()).unwrap();
    let is_circle = |x: i32, y: i32| (x - 128).pow(2) + (y - 128).pow(2) <= 50_i32.pow(2);
    let color = |x, y| if is_circle(x, y) { [255, 0, 0] } else { [255; 3] };
    let pixels = (0..256).flat_map(|y| (0..256).flat_map(move |x| color(x, y))).collect();
    let circle = Rgb::new(256, 256, pixels).unwrap();
    let own = model.processor().config().default_prompts.image.clone().unwrap();
    for question in ["Describe this picture.", "What is in the picture?", &own] {
        assert_eq!(ask(&model, circle.clone(), question), "A red circle in the centre.");
    }
    let sign = std::fs::read(golden_root().join("../corpus/world/stop.png")).unwrap();
    let answer = model.chat([Message::user().image(sign).text("Read the sign.")]).unwrap();
    assert_eq!(answer.text(), "STOP");
}
