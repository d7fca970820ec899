//! A temporary folder, a random checkpoint, and the built binary.
#![allow(dead_code)] // each test binary uses other parts

pub mod batch;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The image of the examples.
pub fn harbour() -> Vec<u8> {
    test_file("corpus/harbour.jpg")
}

/// The contents of a file in the repository's `tests/`.
pub fn test_file(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(name)).unwrap()
}

/// A temporary folder. Dropping it deletes the folder.
pub struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    /// An empty workspace.
    pub fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A workspace with a small random checkpoint.
    pub fn with_checkpoint() -> Self {
        let workspace = Self::empty();
        let output = workspace.run(&["random", "--preset", "tiny", "--out", &workspace.checkpoint()]);
        assert!(output.status.success(), "{output:?}");
        workspace
    }

    /// The path of the checkpoint.
    pub fn checkpoint(&self) -> String {
        self.path("checkpoint")
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    /// Writes a file into the folder and returns its path.
    pub fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The names of the folder's entries, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// A command that runs the binary in the folder, in offline mode.
    pub fn command(&self, args: &[&str]) -> Command {
        let binary = PathBuf::from(env!("CARGO_BIN_EXE_smolvlm"));
        let mut command = Command::new(binary);
        command.args(args).current_dir(self.folder.path());
        command.env("HF_HUB_OFFLINE", "1").env("HF_HOME", self.folder.path().join("hub"));
        // Enumerating GPUs takes time, and some drivers print messages.
        command.env("SMOLVLM_DEVICE", "cpu");
        command
    }

    /// Runs the binary.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs the binary with these lines on stdin.
    pub fn run_with_input(&self, args: &[&str], input: &[u8]) -> Output {
        self.run_command(self.command(args), input)
    }

    /// Runs a command with these lines on stdin.
    pub fn run_command(&self, mut command: Command, input: &[u8]) -> Output {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Runs the binary, which must succeed, and returns its stdout.
    pub fn succeeds(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the binary, which must fail with exit code 1 and no stdout, and returns its one line of stderr.
    pub fn fails(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?} printed {:?}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        assert!(stderr.starts_with("smolvlm: "), "{stderr}");
        stderr
    }
}
