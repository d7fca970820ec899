//! The demo's trained model against the reference, and against itself in other number formats: what random weights cannot
//! show is whether a model still sees.

use serde_json::{Value, json};
use smolvlm::{Conversation, Dtype, Message, Options, Rgb, SmolVlm, Source};
use smolvlm_tests::{crc32, exact, golden_root, read_json};
use smolvlm_synth::{Kind, Split, is_right, sample, write_jsonl};
use tempfile::TempDir;

/// Questions of each kind in the golden.
const OF_EACH: u64 = 16;
/// Conversations in a batch.
const BATCH: usize = 8;

/// The first questions of these kinds; their pictures lie in the folder.
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
fn answers_as_the_reference_does() {
    let golden = read_json(&golden_root().join("demo/answers.json"));
    let weights = u64::from(crc32(smolvlm::demo::WEIGHTS.iter().copied()));
    assert_eq!(
        golden["weights_crc32"], weights,
        "answers of another checkpoint; make them anew with `cargo xtask golden --write`"
    );
    let expected: Vec<(String, String)> = serde_json::from_value(golden["answers"].clone()).unwrap();
    let (_folder, questions) = questions(&Kind::ALL, OF_EACH);
    assert_eq!(questions.len(), expected.len());
    let model = SmolVlm::load(Source::demo(), exact()).unwrap();
    let found = answers(&model, &questions);
    let pairs = found.iter().zip(&expected);
    let different: Vec<_> = pairs.filter(|(answer, (_, expected))| *answer != expected).collect();
    assert!(different.is_empty(), "{} of {}: {different:#?}", different.len(), found.len());
}

/// Most answers are the same in every format. Which differ is a matter of near-ties: a model this small has many.
#[test]
fn sees_in_every_format() {
    let (_folder, questions) = questions(&Kind::ALL, 4);
    let exact = answers(&SmolVlm::load(Source::demo(), exact()).unwrap(), &questions);
    for (dtype, least) in [(Dtype::Bf16, 0.9), (Dtype::Q8, 0.85), (Dtype::Q4, 0.6)] {
        let model = SmolVlm::load(Source::demo(), Options { dtype, ..Options::default() }).unwrap();
        let same = answers(&model, &questions).iter().zip(&exact).filter(|(a, b)| a == b).count();
        println!("{dtype:?}: {same} of {} answers as in f32", questions.len());
        assert!(same as f64 >= least * questions.len() as f64, "{dtype:?}: {same} of {}", questions.len());
    }
}

/// Printed words are small: in a view of the whole alone they are lost.
#[test]
fn reads_in_tiles() {
    const WORDS: u64 = 48;
    let (_folder, questions) = questions(&[Kind::Read], WORDS);
    let asked: Vec<_> = (0..WORDS).map(|index| sample(Kind::Read, Split::Test, index).turns.remove(0)).collect();
    let [tiles, whole] = [true, false].map(|splitting| {
        let options = Options { image_splitting: Some(splitting), ..exact() };
        let found = answers(&SmolVlm::load(Source::demo(), options).unwrap(), &questions);
        asked.iter().zip(&found).filter(|(turn, answer)| is_right(turn, answer)).count()
    });
    println!("read of {WORDS}: {tiles} in tiles, {whole} in a view of the whole");
    assert!(tiles > 36 && whole < 12, "{tiles} in tiles, {whole} in a view of the whole");
}

/// The answer to a question about one picture.
fn asked(model: &SmolVlm, picture: Rgb, question: &str) -> String {
    model.chat([Message::user().image(picture).text(question)]).unwrap().text().to_owned()
}

/// Plain drawings of another size than those it has learnt from.
#[test]
fn a_drawn_circle_is_described_and_a_printed_word_is_read() {
    let model = SmolVlm::load(Source::demo(), exact()).unwrap();
    let is_circle = |x: i32, y: i32| (x - 128).pow(2) + (y - 128).pow(2) <= 50_i32.pow(2);
    let color = |x, y| if is_circle(x, y) { [255, 0, 0] } else { [255; 3] };
    let pixels = (0..256).flat_map(|y| (0..256).flat_map(move |x| color(x, y))).collect();
    let circle = Rgb::new(256, 256, pixels).unwrap();
    let own = model.processor().config().default_prompts.image.clone().unwrap();
    for question in ["Describe this picture.", "What is in the picture?", &own] {
        assert_eq!(asked(&model, circle.clone(), question), "A red circle in the centre.");
    }
    let sign = std::fs::read(golden_root().join("../corpus/world/stop.png")).unwrap();
    let answer = model.chat([Message::user().image(sign).text("Read the sign.")]).unwrap();
    assert_eq!(answer.text(), "STOP");
}
