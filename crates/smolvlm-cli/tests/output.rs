//! Output files: symlinks, pipes, modes, and protection of existing files.

mod support;

use safetensors::SafeTensors;
use serde_json::json;
use std::fs;
use std::process::Stdio;
use support::{Workspace, harbour};

fn workspace() -> Workspace {
    let workspace = Workspace::with_checkpoint();
    let chat = json!([{"role": "user", "content": [{"type": "text", "text": "hi"}]}]);
    workspace.write("chat.json", chat.to_string().as_bytes());
    workspace
}

/// Arguments of `process` that write to a path.
fn process(out: &str) -> [&str; 7] {
    ["process", "--conversation", "chat.json", "--model", "checkpoint", "--out", out]
}

fn is_output(bytes: &[u8]) -> bool {
    SafeTensors::deserialize(bytes).is_ok_and(|file| file.tensor("input_ids").is_ok())
}

fn write_shapes(workspace: &Workspace, name: &str, kind: &str) {
    let image = json!([{"role": "user", "content": [{"type": kind, "path": "frames/1.jpg"}]}]);
    workspace.write(name, image.to_string().as_bytes());
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    fn mode(path: &str) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn new_files_follow_the_umask_and_existing_ones_keep_their_mode() {
        let workspace = workspace();
        let umasked = |umask: &str, args: &[&str]| {
            let script = format!("umask {umask}; exec \"$0\" \"$@\"");
            let mut command = Command::new("sh");
            let smolvlm = workspace.command(args);
            command.args(["-c", &script]).arg(env!("CARGO_BIN_EXE_smolvlm")).args(args);
            command.current_dir(workspace.path(""));
            command.envs(smolvlm.get_envs().filter_map(|(name, value)| Some((name, value?))));
            assert!(command.status().unwrap().success());
        };
        umasked("022", &process("new"));
        assert_eq!(mode(&workspace.path("new")), 0o644);
        fs::set_permissions(workspace.path("new"), fs::Permissions::from_mode(0o660)).unwrap();
        umasked("022", &process("new"));
        assert_eq!(mode(&workspace.path("new")), 0o660);
        umasked("077", &process("private"));
        assert_eq!(mode(&workspace.path("private")), 0o600);
        umasked("027", &["random", "--preset", "tiny", "--out", "random"]);
        umasked("027", &["quantize", "--model", "random", "--dtype", "q8", "--out", "small"]);
        for folder in ["random", "small"] {
            for entry in fs::read_dir(workspace.path(folder)).unwrap() {
                let path = entry.unwrap().path();
                assert_eq!(mode(path.to_str().unwrap()), 0o640, "{}", path.display());
            }
        }
    }

    #[test]
    fn the_target_of_symlinked_weights_is_an_input() {
        let workspace = workspace();
        fs::create_dir(workspace.path("blobs")).unwrap();
        fs::rename(workspace.path("checkpoint/model.safetensors"), workspace.path("blobs/weights")).unwrap();
        symlink("../blobs/weights", workspace.path("checkpoint/model.safetensors")).unwrap();
        let before = fs::read(workspace.path("blobs/weights")).unwrap();
        for out in ["blobs/weights", "checkpoint/model.safetensors"] {
            let line = workspace.fails(&process(out));
            assert!(line.contains("read by this command"), "{line}");
        }
        assert!(fs::read(workspace.path("blobs/weights")).unwrap() == before);
    }

    #[test]
    fn symlinks_are_followed() {
        let workspace = workspace();
        fs::create_dir(workspace.path("elsewhere")).unwrap();
        workspace.write("elsewhere/old", b"old");
        for (link, target) in [("link", "elsewhere/old"), ("dangling", "elsewhere/new"), ("second", "link")] {
            symlink(target, workspace.path(link)).unwrap();
        }
        for (link, target) in [("link", "elsewhere/old"), ("dangling", "elsewhere/new"), ("second", "elsewhere/old")] {
            workspace.succeeds(&process(link));
            assert!(fs::symlink_metadata(workspace.path(link)).unwrap().is_symlink(), "{link}");
            assert!(is_output(&fs::read(workspace.path(target)).unwrap()), "{link}");
        }
        let names = ["chat.json", "checkpoint", "dangling", "elsewhere", "link", "second"];
        assert_eq!(workspace.names(), names, "no temporary files are left");
        assert_eq!(fs::read_dir(workspace.path("elsewhere")).unwrap().count(), 2);
    }

    #[test]
    fn pipes_and_devices_can_be_outputs() {
        let workspace = workspace();
        assert!(Command::new("mkfifo").arg(workspace.path("fifo")).status().unwrap().success());
        let fifo = workspace.path("fifo");
        let reader = std::thread::spawn(move || fs::read(fifo).unwrap());
        workspace.succeeds(&process("fifo"));
        assert!(is_output(&reader.join().unwrap()));
        assert!(!fs::metadata(workspace.path("fifo")).unwrap().is_file());

        let output = workspace.run(&process("/dev/stdout"));
        assert!(output.status.success() && is_output(&output.stdout), "{output:?}");
        workspace.succeeds(&process("/dev/null"));
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        if fs::metadata("/dev/full").is_ok() {
            let line = workspace.fails(&process("/dev/full"));
            assert!(line.contains("/dev/full"), "{line}");
        }
    }

    #[test]
    fn an_output_that_is_stdout_appends() {
        let workspace = workspace();
        workspace.write("log", b"before\n");
        let log = || fs::OpenOptions::new().append(true).open(workspace.path("log")).unwrap();
        for out in ["/dev/stdout", "/dev/fd/1", "log"] {
            let status = workspace.command(&process(out)).stdout(log()).status().unwrap();
            assert!(status.success());
        }
        let bytes = fs::read(workspace.path("log")).unwrap();
        let files = bytes.strip_prefix(b"before\n").unwrap();
        assert!(files.len().is_multiple_of(3) && files.chunks(files.len() / 3).all(is_output));
    }

    #[test]
    fn the_source_checkpoint_is_detected_through_symlinks() {
        let workspace = workspace();
        symlink("checkpoint", workspace.path("link")).unwrap();
        let before = files(&workspace, "checkpoint");
        for (model, out) in [("checkpoint", "link"), ("link", "checkpoint"), ("link", "checkpoint/../link/.")] {
            let line = workspace.fails(&["quantize", "--model", model, "--dtype", "q8", "--out", out, "--force"]);
            assert!(line.contains("contains the source checkpoint"), "{line}");
        }
        assert!(files(&workspace, "checkpoint") == before);
    }

    #[test]
    fn symlinks_in_a_folder_are_replaced_and_their_targets_are_unchanged() {
        let workspace = workspace();
        let before = files(&workspace, "checkpoint");
        fs::create_dir(workspace.path("snapshot")).unwrap();
        for (name, _) in &before {
            symlink(format!("../checkpoint/{name}"), workspace.path(&format!("snapshot/{name}"))).unwrap();
        }
        workspace.succeeds(&["quantize", "--model", "checkpoint", "--dtype", "q4", "--out", "snapshot", "--force"]);
        assert!(files(&workspace, "checkpoint") == before);
        let small = files(&workspace, "snapshot");
        assert_eq!(small.len(), before.len());
        let weights =
            |files: &[(String, Vec<u8>)]| files.iter().find(|file| file.0.ends_with("tensors")).unwrap().1.len();
        assert!(weights(&small) < weights(&before));
    }

    #[test]
    fn answers_can_be_saved_when_stdout_is_closed() {
        let workspace = workspace();
        let args = ["chat", "--random", "tiny", "--max-new-tokens", "4"];
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = workspace.command(&args).stdin(Stdio::piped()).stdout(writer).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"Hello\nAgain\n/save saved.json\n").unwrap();
        assert!(child.wait().unwrap().success());
        let messages: Vec<serde_json::Value> =
            serde_json::from_slice(&fs::read(workspace.path("saved.json")).unwrap()).unwrap();
        assert_eq!(messages.len(), 4);
    }
}

/// Names and contents of a folder's files.
fn files(workspace: &Workspace, folder: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(workspace.path(folder)).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn an_output_that_is_an_input_is_an_error() {
    let workspace = workspace();
    fs::create_dir(workspace.path("frames")).unwrap();
    workspace.write("frames/1.jpg", &harbour());
    write_shapes(&workspace, "image.json", "image");
    let video = json!([{"role": "user", "content": [{"type": "video", "path": "frames"}]}]);
    workspace.write("video.json", video.to_string().as_bytes());
    fs::hard_link(workspace.path("image.json"), workspace.path("hard")).unwrap();
    for (conversation, out) in [
        ("image.json", "image.json"),
        ("image.json", "hard"),
        ("image.json", "frames/../frames/1.jpg"),
        ("video.json", "frames/1.jpg"),
        ("image.json", "checkpoint/model.safetensors"),
        ("video.json", "checkpoint/config.json"),
    ] {
        let before = fs::read(workspace.path(out)).unwrap();
        for command in ["process", "forward"] {
            let args = [command, "--conversation", conversation, "--model", "checkpoint", "--out", out];
            let line = workspace.fails(&args);
            assert!(line.contains("read by this command"), "{line}");
        }
        assert!(fs::read(workspace.path(out)).unwrap() == before, "{out}");
    }
}

#[test]
fn the_base_model_of_an_adapter_is_an_input() {
    let workspace = workspace();
    fs::create_dir(workspace.path("adapter")).unwrap();
    let config = json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": "checkpoint"});
    workspace.write("adapter/adapter_config.json", config.to_string().as_bytes());
    for out in ["checkpoint/model.safetensors", "adapter/adapter_config.json"] {
        let before = fs::read(workspace.path(out)).unwrap();
        for model in [&["--model", "adapter"][..], &["--model", "checkpoint", "--adapter", "adapter"]] {
            let args = [&["process", "--conversation", "chat.json", "--out", out], model].concat();
            let line = workspace.fails(&args);
            assert!(line.contains("read by this command"), "{line}");
        }
        assert!(fs::read(workspace.path(out)).unwrap() == before, "{out}");
    }
}

#[test]
fn an_output_next_to_the_model_is_replaced() {
    let workspace = workspace();
    let quantize = ["quantize", "--model", "checkpoint", "--format", "gguf", "--dtype", "q8_0", "--out", "gguf"];
    workspace.succeeds(&quantize);
    for (model, out) in [("gguf/model-Q8_0.gguf", "gguf/out"), ("checkpoint", "checkpoint/out")] {
        let process = ["process", "--conversation", "chat.json", "--model", model, "--out", out];
        workspace.succeeds(&process);
        workspace.succeeds(&process);
    }
    let model = "gguf/model-Q8_0.gguf";
    let line = workspace.fails(&["process", "--conversation", "chat.json", "--model", model, "--out", model]);
    assert!(line.contains("read by this command"), "{line}");
}

#[test]
fn a_chat_cannot_be_saved_over_its_model() {
    let workspace = workspace();
    let before = fs::read(workspace.path("checkpoint/config.json")).unwrap();
    let output = workspace.run_with_input(&["chat", "--model", "checkpoint"], b"/save checkpoint/config.json\n");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && stderr.contains("read by this command"), "{stderr}");
    assert!(fs::read(workspace.path("checkpoint/config.json")).unwrap() == before);
}

#[test]
fn a_missing_parent_folder_is_named() {
    let line = workspace().fails(&process("nowhere/out"));
    assert!(line.contains("nowhere/out: its parent folder does not exist"), "{line}");
}

#[test]
fn a_chat_cannot_be_saved_over_its_images() {
    let workspace = workspace();
    workspace.write("a.jpg", &harbour());
    let args = ["chat", "--random", "tiny", "--max-new-tokens", "2", "--no-image-splitting"];
    let output = workspace.run_with_input(&args, b"/image a.jpg\n/save a.jpg\nWhat?\n/save a.jpg\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stderr).unwrap().matches("read by this command").count(), 2);
    assert!(fs::read(workspace.path("a.jpg")).unwrap() == harbour());
}

#[test]
fn force_replaces_the_files_of_a_checkpoint_and_keeps_others() {
    let workspace = workspace();
    let old = ["model-00001-of-00002.safetensors", "model.safetensors.index.json", "chat_template.jinja", "vocab.json"];
    old.iter().for_each(|name| drop(workspace.write(&format!("checkpoint/{name}"), b"old")));
    workspace.write("checkpoint/notes.txt", b"mine");
    workspace.write("checkpoint/README.md", b"# My notes");
    fs::create_dir(workspace.path("checkpoint/more")).unwrap();
    workspace.succeeds(&["random", "--preset", "tiny", "--out", "fresh", "--seed", "7"]);
    let random = ["random", "--preset", "tiny", "--out", "checkpoint", "--seed", "7", "--force"];
    let output = workspace.run(&random);
    assert!(output.status.success(), "{output:?}");
    let note = String::from_utf8(output.stderr).unwrap();
    assert!(note.starts_with("smolvlm: note: ") && note.contains("notes.txt"), "{note}");

    fs::remove_dir(workspace.path("checkpoint/more")).unwrap();
    let (mut mine, found): (Vec<_>, Vec<_>) =
        files(&workspace, "checkpoint").into_iter().partition(|(name, _)| name == "notes.txt" || name == "README.md");
    assert!(found == files(&workspace, "fresh"));
    assert_eq!(mine.pop(), Some(("notes.txt".to_owned(), b"mine".to_vec())));
    assert_eq!(mine.pop(), Some(("README.md".to_owned(), b"# My notes".to_vec())));
}

#[test]
fn force_does_not_overwrite_a_folder_that_is_not_a_checkpoint() {
    let workspace = Workspace::empty();
    fs::create_dir(workspace.path("site")).unwrap();
    workspace.write("site/config.json", b"{\"port\": 80}");
    let line = workspace.fails(&["random", "--preset", "tiny", "--out", "site", "--force"]);
    assert!(line.contains("not a model configuration"), "{line}");
    assert_eq!(files(&workspace, "site"), [("config.json".to_owned(), b"{\"port\": 80}".to_vec())]);
    fs::create_dir(workspace.path("empty")).unwrap();
    workspace.succeeds(&["random", "--preset", "tiny", "--out", "empty"]);
}

#[test]
fn closed_stdout_and_stderr_lose_no_output() {
    let workspace = workspace();
    let chat = json!([{"role": "user", "content": [{"type": "text", "text": "hi"}]}]);
    workspace.write("five.json", json!([chat, chat, [], chat, chat]).to_string().as_bytes());
    let args = ["generate", "--conversation", "five.json", "--model", "checkpoint", "--max-new-tokens", "2"];
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    let output = workspace.command(&args).stderr(closed()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "one conversation is empty");
    assert!(String::from_utf8(output.stdout).unwrap().lines().count() >= 4);

    let output = workspace.command(&args).stdout(closed()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let output = workspace.command(&process("out")).stdout(closed()).stderr(closed()).output().unwrap();
    assert!(output.status.success() && is_output(&fs::read(workspace.path("out")).unwrap()));
    for args in [&["--help"][..], &["devices"], &["nonsense"], &["describe", "no-such.png", "--model", "checkpoint"]] {
        let status = workspace.command(args).stdout(closed()).stderr(closed()).status().unwrap();
        assert!(matches!(status.code(), Some(0..=2)), "{args:?}: {status}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_without_a_panic() {
    let workspace = workspace();
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let args = ["generate", "--conversation", "chat.json", "--model", "checkpoint", "--max-new-tokens", "2"];
    let output = workspace.command(&args).stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.starts_with("smolvlm: cannot write to stdout") && line.lines().count() == 1, "{line}");
    let output = workspace.command(&args).stderr(full()).output().unwrap();
    assert!(output.status.success() && !output.stdout.is_empty());
}
