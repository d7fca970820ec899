//! `--feature-cache`: features that a later command reads, and failures that do not matter.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use support::{Workspace, harbour};

const DESCRIBE: [&str; 6] = ["describe", "harbour.jpg", "--model", "checkpoint", "--max-new-tokens", "4"];

fn workspace() -> Workspace {
    let workspace = Workspace::with_checkpoint();
    workspace.write("harbour.jpg", &harbour());
    workspace
}

fn files(workspace: &Workspace) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(workspace.path("cache")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn notes(output: &Output) -> usize {
    String::from_utf8_lossy(&output.stderr).matches("smolvlm: note: the feature cache").count()
}

#[test]
fn later_commands_find_the_features() {
    let workspace = workspace();
    let with_cache = [&DESCRIBE[..], &["--feature-cache", "cache"]].concat();
    let expected = workspace.succeeds(&DESCRIBE);
    assert_eq!(workspace.succeeds(&with_cache), expected);
    assert_eq!(files(&workspace).len(), 13);
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // A file that is written again is another one.
        let inodes = || -> Vec<u64> { files(&workspace).iter().map(|path| path.metadata().unwrap().ino()).collect() };
        let before = inodes();
        assert_eq!(workspace.succeeds(&with_cache), expected);
        assert_eq!(inodes(), before);
    }
}

#[test]
fn size_needs_a_folder() {
    let output = Workspace::empty().run(&["chat", "--feature-cache-size", "5"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--feature-cache <DIR>"), "{output:?}");
}

#[test]
fn unusable_folder_is_reported() {
    let workspace = workspace();
    let line = workspace.fails(&[&DESCRIBE[..], &["--feature-cache", "harbour.jpg"]].concat());
    assert!(line.contains("harbour.jpg as feature cache"), "{line}");
}

#[cfg(unix)]
#[test]
fn full_disk_does_not_fail_a_command() {
    let workspace = workspace();
    let expected = workspace.succeeds(&DESCRIBE);
    // Every write to a file fails.
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$@\"";
    let args = [&DESCRIBE[..], &["--feature-cache", "cache"]].concat();
    let command = workspace.command(&args);
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
    limited.current_dir(workspace.path("")).envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let output = limited.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    assert_eq!(notes(&output), 1, "{output:?}");
    assert_eq!(files(&workspace), Vec::<PathBuf>::new());
    // There is room again.
    let output = workspace.run(&args);
    assert_eq!((notes(&output), files(&workspace).len()), (0, 13));
}
