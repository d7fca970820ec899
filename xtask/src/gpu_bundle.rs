//! `cargo xtask gpu-bundle`: programs that test and benchmark a machine with an NVIDIA GPU and without compiler or
//! network. `tests/bench/gpu.sh` runs them there.

use crate::process::{execute, execute_with, root, target, text};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folder of the archive; the machine also needs the working tree.
const FOLDER: &str = "target/gpu-bundle";
/// Maximum size of the archive in bytes.
const LIMIT: u64 = 38 << 20;
/// Kernels are compiled on that machine, and CubeCL's LLVM is neither downloaded nor linked.
const BUILD: [(&str, &str); 2] = [
    ("DOCS_RS", "1"),
    // The oldest driver interface with all that CubeCL calls; a newer one would not start on older drivers.
    ("CUDARC_CUDA_VERSION", "13000"),
];

/// The programs and how they are built: the command, the golden tests, and a benchmark of matrix products.
const PROGRAMS: [(&str, &str); 3] = [
    ("smolvlm", "--package smolvlm-cli --bin smolvlm --no-default-features --features cuda-nvrtc,demo"),
    ("integration", "--package smolvlm-tests --test integration --features cuda"),
    ("gpu_matmuls", "--package smolvlm-nn --example gpu_matmuls --features cuda-nvrtc"),
];

/// Builds the programs, strips them of what they do not need, and packs them.
pub fn run() -> Result<(), String> {
    let tools = root().join(FOLDER).join("tools");
    let _ = fs::remove_dir_all(&tools);
    fs::create_dir_all(&tools).map_err(|error| error.to_string())?;

    let built = target().join("bundle");
    let mut undefined = BTreeSet::new();
    for (name, words) in PROGRAMS {
        let words = format!("rustc --profile bundle {words} -- -C link-arg=-Wl,--unresolved-symbols=ignore-all");
        execute_with(&BUILD, "cargo", words.split_whitespace())?;
        let program = match name {
            "smolvlm" => built.join(name),
            "gpu_matmuls" => built.join("examples").join(name),
            _ => newest(&built.join("deps"), &format!("{name}-"))?,
        };
        undefined.extend(undefined_symbols(&program)?);
        fs::copy(&program, tools.join(name)).map_err(|error| format!("{}: {error}", program.display()))?;
    }
    write_stubs(&undefined, &tools.join("stubs.so"))?;

    let archive = root().join(FOLDER).join("tools.tar.xz");
    // The programs have most of their code in common: the dictionary spans both.
    let pack = ["-C", FOLDER, "--use-compress-program=xz -T1 --lzma2=preset=6,dict=256MiB", "-cf"].map(str::to_owned);
    execute("tar", pack.into_iter().chain([archive.display().to_string(), "tools".to_owned()]))?;
    fs::remove_dir_all(&tools).map_err(|error| error.to_string())?;

    let size = archive.metadata().map_err(|error| error.to_string())?.len();
    if size > LIMIT {
        return Err(format!("{FOLDER} takes {} MiB, more than {}", size >> 20, LIMIT >> 20));
    }
    println!(
        "{FOLDER} takes {} MiB. On the machine with the GPU, in the repository's root:\n\n{}",
        size >> 20,
        command()
    );
    Ok(())
}

/// Runs the script on any graphics device of this machine, with the command that the tests have built, so that it keeps
/// working without an NVIDIA GPU.
pub fn rehearse() -> Result<(), String> {
    let folder = root().join("target/gpu-rehearsal");
    let (tools, out) = (folder.join("tools"), folder.join("out"));
    let _ = fs::remove_dir_all(&folder);
    for folder in [&tools, &out] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let built = target().join("debug/smolvlm");
    fs::copy(&built, tools.join("smolvlm")).map_err(|error| format!("{}: {error}", built.display()))?;
    let words = ["tests/bench/gpu.sh".to_owned(), text(&tools), text(&out)];
    // Without the benchmark, which takes minutes on a software renderer.
    let steps = ["devices", "demo"].map(str::to_owned);
    execute_with(&[("SMOLVLM_DEVICE", "wgpu")], "bash", words.into_iter().chain(steps))
}

/// The command line that unpacks and runs the programs.
fn command() -> String {
    format!("  tar -xJf {FOLDER}/tools.tar.xz -C /tmp && bash tests/bench/gpu.sh /tmp/tools OUT")
}

/// The functions of LLVM that a program calls if it is told to compile with LLVM.
fn undefined_symbols(program: &Path) -> Result<Vec<String>, String> {
    let output = Command::new("nm").args(["--dynamic", "--undefined-only"]).arg(program).output();
    let output = output.map_err(|error| format!("cannot start nm: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let names = text.lines().filter_map(|line| line.split_whitespace().last());
    let of_llvm = |name: &&str| name.starts_with("LLVM") || name.starts_with("cubecl_");
    Ok(names.filter(of_llvm).map(str::to_owned).collect())
}

/// A library of functions that end the program: nothing here calls them, but the loader wants them.
fn write_stubs(names: &BTreeSet<String>, path: &Path) -> Result<(), String> {
    let functions: String = names.iter().map(|name| format!("void {name}(void) {{ __builtin_trap(); }}\n")).collect();
    let source = path.with_extension("c");
    fs::write(&source, functions).map_err(|error| error.to_string())?;
    execute("cc", ["-shared", "-fPIC", "-o"].map(str::to_owned).into_iter().chain([text(path), text(&source)]))?;
    fs::remove_file(source).map_err(|error| error.to_string())
}

/// The newest program of those that cargo named with a hash.
fn newest(folder: &Path, start: &str) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?.flatten();
    let programs = entries.filter(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with(start) && !name.to_string_lossy().contains('.')
    });
    let newest = programs.max_by_key(|entry| entry.metadata().and_then(|data| data.modified()).ok());
    newest.map(|entry| entry.path()).ok_or_else(|| format!("no {start}* in {}", folder.display()))
}
