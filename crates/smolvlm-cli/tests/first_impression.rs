//! The first commands of a new user, on the bundled demo model.
#![cfg(feature = "demo")]

mod support;

use support::{Workspace, test_file};

fn describe(media: &[&str]) -> String {
    let workspace = Workspace::empty();
    media.iter().for_each(|name| drop(workspace.write(name, &test_file(&format!("corpus/world/{name}")))));
    workspace.succeeds(&[&["describe", "--model", "demo"], media].concat())
}

#[test]
fn an_image_is_described_without_a_question() {
    let shapes = "An orange triangle at the top, a green star on the left, an orange heart in the centre, \
                  a green diamond at the bottom right.\n";
    assert_eq!(describe(&["shapes.png"]), shapes);
}

#[test]
fn images_and_videos_are_read_from_pipes() {
    let workspace = Workspace::empty();
    let describe = |path: &str, bytes: &[u8]| {
        let output = workspace.run_with_input(&["describe", "--model", "demo", path], bytes);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let [shapes, clip] = ["shapes.png", "clip.gif"].map(|name| test_file(&format!("corpus/world/{name}")));
    assert!(describe("-", &shapes).starts_with("An orange triangle"));
    assert!(describe("-", &clip).starts_with("A blue square"));
    if cfg!(unix) {
        assert!(describe("/dev/stdin", &shapes).starts_with("An orange triangle"));
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_without_an_image_is_not_read_to_the_end() {
    let workspace = Workspace::empty();
    let endless = std::fs::File::open("/dev/zero").unwrap();
    let output = workspace.command(&["describe", "--model", "demo", "-"]).stdin(endless).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && stderr.contains("no image format recognized"), "{stderr}");
}

#[test]
fn two_images_are_compared() {
    assert_eq!(describe(&["before.png", "after.png"]), "The white cross is now orange.\n");
}

#[test]
fn a_video_is_described() {
    let answer = describe(&["clip.gif"]);
    assert!(answer.starts_with("A blue square"), "{answer}");
}
