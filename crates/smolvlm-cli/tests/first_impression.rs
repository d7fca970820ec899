//! The first command that somebody tries, on the model that needs no network.
#![cfg(feature = "demo")]

mod support;

use support::{Workspace, test_file};

fn describe(media: &[&str]) -> String {
    let workspace = Workspace::empty();
    media.iter().for_each(|name| drop(workspace.write(name, &test_file(&format!("corpus/world/{name}")))));
    workspace.succeeds(&[&["describe", "--model", "demo"], media].concat())
}

#[test]
fn a_picture_is_described_without_a_question() {
    let shapes = "An orange triangle at the top, a green star on the left, an orange heart in the centre, \
                  a green diamond at the bottom right.\n";
    assert_eq!(describe(&["shapes.png"]), shapes);
}

#[test]
fn two_pictures_are_compared() {
    assert_eq!(describe(&["before.png", "after.png"]), "The white cross is now orange.\n");
}

#[test]
fn a_clip_is_described() {
    let answer = describe(&["clip.gif"]);
    assert!(answer.starts_with("A blue square"), "{answer}");
}
