//! Running other programs from the workspace's root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// The workspace's root folder.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    root().join(target)
}

/// Where cargo puts a release binary of that name.
pub fn release_binary(name: &str) -> PathBuf {
    target().join("release").join(name)
}

/// Runs a program in the workspace's root, showing the command first and the time of long ones; an error if it does not
/// succeed.
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
    let clock = Instant::now();
    let status = Command::new(program)
        .args(&args)
        .envs(variables.iter().copied())
        .current_dir(root())
        .status()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    let seconds = clock.elapsed().as_secs();
    if seconds >= 10 {
        eprintln!("> took {seconds} s");
    }
    if status.success() { Ok(()) } else { Err(format!("`{shown}` ended with {status}")) }
}

/// Runs cargo with these words.
pub fn cargo(words: &str) -> Result<(), String> {
    execute("cargo", words.split_whitespace())
}

/// Features of the build that runs everything the machine can run, as words for cargo. Says what is left out.
pub fn features() -> Vec<String> {
    let mut features = vec!["smolvlm-tests/ndarray"];
    if has_ffmpeg() {
        features.extend(["smolvlm-cli/video", "smolvlm-tests/video", "smolvlm-video/ffmpeg"]);
    } else {
        eprintln!(
            "> without FFmpeg's libraries: pkg-config finds no FFmpeg 5.1, or there is no clang (see docs/CONTRIBUTING.md)"
        );
    }
    if has_graphics() {
        features.extend(["smolvlm-kernels/wgpu", "smolvlm-model/wgpu", "smolvlm-tests/wgpu"]);
    } else {
        eprintln!("> without graphics devices: there is no Vulkan loader (libvulkan.so.1)");
    }
    vec!["--features".to_owned(), features.join(",")]
}

/// A path as a word for a command.
pub fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The machine code of a library with relocations, by this `objdump`.
pub fn disassemble(objdump: &str, library: &Path) -> Result<String, String> {
    let output = Command::new(objdump)
        .args(["--disassemble", "--reloc", "--demangle", "--no-show-raw-insn"])
        .arg(library)
        .current_dir(root())
        .output()
        .map_err(|error| format!("cannot start {objdump}: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs an ignored test of `smolvlm-tests` in the release build and shows what it prints.
pub fn ignored_test(test: &str) -> Result<(), String> {
    cargo(&format!("test --release --package smolvlm-tests --test integration -- {test} --exact --ignored --nocapture"))
}

/// Whether a program is there and succeeds with these words; shows nothing.
pub fn succeeds(program: &str, words: &[&str]) -> bool {
    let status = Command::new(program).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Video containers need FFmpeg 5.1, and clang to make its bindings.
fn has_ffmpeg() -> bool {
    let libraries = ["--exists", "libavcodec >= 59", "libavformat >= 59", "libavutil >= 57", "libswscale >= 6"];
    succeeds("pkg-config", &libraries) && succeeds("clang", &["--version"])
}

/// Elsewhere than on Linux a graphics interface is part of the system.
fn has_graphics() -> bool {
    let folders = ["/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
    !cfg!(target_os = "linux") || folders.iter().any(|folder| Path::new(folder).join("libvulkan.so.1").exists())
}

/// The folder with the programs of a Python environment with these packages, as words for pip. Makes it if it is
/// missing; otherwise does nothing where all packages are there, and brings an environment of earlier pins up to date.
pub fn python_environment(folder: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    let programs = folder.join("bin");
    let python = programs.join("python");
    if !python.exists() {
        execute("python3", ["-m".into(), "venv".into(), folder.to_string_lossy().into_owned()])?;
    }
    execute(&python, ["-m", "pip", "install", "--quiet"].iter().chain(packages).copied())?;
    Ok(programs)
}
