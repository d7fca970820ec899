//! Running other programs from the workspace's root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace's root folder.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Runs a program in the workspace's root, showing the command first; an error if it does not succeed.
pub fn execute<I, S>(program: impl AsRef<Path>, args: I) -> Result<(), String>
where
    I: IntoIterator<Item = S>,
    S: Into<String>,
{
    execute_with(&[], program, args)
}

/// [`execute`] with some environment variables set.
pub fn execute_with<I, S>(variables: &[(&str, &str)], program: impl AsRef<Path>, args: I) -> Result<(), String>
where
    I: IntoIterator<Item = S>,
    S: Into<String>,
{
    let program = program.as_ref();
    let args: Vec<String> = args.into_iter().map(Into::into).collect();
    let set: String = variables.iter().map(|(name, value)| format!("{name}={value} ")).collect();
    let shown = format!("{set}{} {}", program.display(), args.join(" "));
    eprintln!("> {shown}");
    let status = Command::new(program)
        .args(&args)
        .envs(variables.iter().copied())
        .current_dir(root())
        .status()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` ended with {status}")) }
}

/// Runs cargo with these words.
pub fn cargo(words: &str) -> Result<(), String> {
    execute("cargo", words.split_whitespace())
}

/// The features that need a system library, where the machine has it: video containers need FFmpeg 5.1, and clang to make
/// its bindings. Says so if they are left out.
pub fn system_features() -> Vec<String> {
    let succeeds = |program: &str, words: &[&str]| {
        let status = Command::new(program).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let libraries = ["--exists", "libavcodec >= 59", "libavformat >= 59", "libavutil >= 57", "libswscale >= 6"];
    if succeeds("pkg-config", &libraries) && succeeds("clang", &["--version"]) {
        return vec!["--features".into(), "smolvlm-cli/video,smolvlm-tests/video,smolvlm-video/ffmpeg".into()];
    }
    eprintln!("> without video containers: pkg-config finds no FFmpeg 5.1, or there is no clang (see README.md)");
    Vec::new()
}
