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
    assert_eq!(describe(&["shapes.png"]), "A green cross on the left.\n");
}

#[test]
fn two_pictures_are_compared() {
    assert_eq!(describe(&["before.png", "after.png"]), "The white cross is now orange.\n");
}
