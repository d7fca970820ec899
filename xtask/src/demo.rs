//! `cargo xtask demo`: the main job on a fresh machine.

use crate::process::{cargo, execute, release_binary};

/// Media and the questions about them.
const QUESTIONS: &[(&[&str], &str)] = &[
    (&["shapes.png"], "Describe this picture."),
    (&["sign.png"], "Read the sign."),
    (&["chart.png"], "Which bar is the tallest?"),
    (&["before.png", "after.png"], "What is different in the second picture?"),
    (&["clip.gif"], "Which way does the blue square move?"),
];

/// Builds the release binary and asks the model that comes with it about images and a clip of this repository.
pub fn run() -> Result<(), String> {
    cargo("build --release --package smolvlm-cli")?;
    let binary = release_binary("smolvlm");
    for (media, question) in QUESTIONS {
        eprintln!();
        let media = media.iter().map(|name| format!("tests/corpus/world/{name}"));
        let words = ["--model", "demo", "--show", "--prompt", question].map(str::to_owned);
        execute(&binary, ["describe".to_owned()].into_iter().chain(media).chain(words))?;
    }
    eprintln!();
    eprintln!("This model knows drawn shapes, pairs of images and short clips of them, and reads short words.");
    eprintln!("For photographs, name a released one, which is downloaded once:");
    let model = "HuggingFaceTB/SmolVLM2-256M-Video-Instruct";
    eprintln!("  {} describe photo.jpg --model {model}", binary.display());
    Ok(())
}
