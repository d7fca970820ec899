//! `batch` that is interrupted, resumed, and split among processes.

mod support;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::Workspace;
use support::batch::{args, files, lines, rows, run, succeeds, values};

fn write_questions(workspace: &Workspace, count: usize) {
    let row = |index: usize| {
        let messages = json!([{"role": "user", "content": format!("Is {index} even?")}]);
        json!({"id": format!("row {index}"), "messages": messages})
    };
    workspace.write("in.jsonl", lines((0..count).map(row)).as_bytes());
}

fn ids(count: usize) -> Vec<Value> {
    (0..count).map(|index| json!(format!("row {index}"))).collect()
}

fn spawn(workspace: &Workspace, more: &[&str]) -> Child {
    let mut command = workspace.command(&args("in.jsonl", "out", more));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Number of bytes of all files in the output folder.
fn written(workspace: &Workspace) -> u64 {
    let Ok(entries) = fs::read_dir(workspace.path("out")) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// Waits until the output grows, or the process ends.
fn wait_for_output(workspace: &Workspace, child: &mut Child) {
    let (before, start) = (written(workspace), Instant::now());
    while written(workspace) <= before && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn killed_at_any_time_every_row_is_answered_once() {
    const ROWS: usize = 2000;
    let workspace = Workspace::empty();
    write_questions(&workspace, ROWS);
    let more = ["--rows-per-part", "37", "--in-flight", "5"];
    let (mut parts, mut random, mut killed) = (BTreeMap::new(), 12345_u64, 0);
    for _ in 0..20 {
        let mut child = spawn(&workspace, &more);
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        // Every fourth time while the model is loaded.
        if random >> 62 > 0 {
            wait_for_output(&workspace, &mut child);
        }
        sleep(Duration::from_micros((random >> 32) % 100_000));
        killed += u64::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        let now = if fs::exists(workspace.path("out")).unwrap() { files(&workspace, "out") } else { BTreeMap::new() };
        for (name, text) in &parts {
            assert_eq!(now.get(name), Some(text), "{name} has changed");
        }
        assert!(now.values().all(|text| text.lines().count() == 37 && text.ends_with('\n')) || now.len() == 55);
        parts = now;
    }
    assert!(killed > 10, "{killed}");
    let summary = succeeds(&workspace, "in.jsonl", "out", &more);
    assert!(summary.contains("rows were answered before"), "{summary}");
    assert_eq!(values(&rows(&workspace, "out"), "id"), ids(ROWS));
    let journals = fs::read_dir(workspace.path("out")).unwrap().map(|entry| entry.unwrap().file_name());
    let journals = journals.filter(|name| name.to_string_lossy().contains("partial"));
    assert_eq!(journals.count(), 0);

    succeeds(&workspace, "in.jsonl", "whole", &more);
    assert_eq!(rows(&workspace, "out"), rows(&workspace, "whole"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_finished_rows() {
    let workspace = Workspace::empty();
    write_questions(&workspace, 2000);
    let mut child = spawn(&workspace, &["--rows-per-part", "5000"]);
    wait_for_output(&workspace, &mut child);
    sleep(Duration::from_millis(100));
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.ends_with("smolvlm: interrupted; the same command resumes\n"), "{stderr}");
    let count: usize = stderr.strip_prefix("smolvlm: ").unwrap().split(' ').next().unwrap().parse().unwrap();
    let journal = fs::read_to_string(workspace.path("out/part-00000.jsonl.partial")).unwrap();
    assert_eq!(journal.lines().count(), count);
    assert!(count > 0 && files(&workspace, "out").is_empty());
    let summary = succeeds(&workspace, "in.jsonl", "out", &["--rows-per-part", "5000"]);
    assert!(summary.contains(&format!("{count} rows were answered before")), "{summary}");
    assert_eq!(values(&rows(&workspace, "out"), "id"), ids(2000));
}

#[test]
fn a_finished_run_is_not_repeated() {
    let workspace = Workspace::empty();
    write_questions(&workspace, 7);
    succeeds(&workspace, "in.jsonl", "out", &["--rows-per-part", "3"]);
    let marked = workspace.path("out/part-00001.jsonl");
    let text = fs::read_to_string(&marked).unwrap().replace("\"error\":null", "\"error\":\"marked\"");
    fs::write(&marked, &text).unwrap();
    let summary = succeeds(&workspace, "in.jsonl", "out", &["--rows-per-part", "3", "--in-flight", "2"]);
    assert!(
        summary.contains("0 rows, ") && summary.contains("7 rows were answered before, of which 3 failed"),
        "{summary}"
    );
    assert_eq!(fs::read_to_string(&marked).unwrap(), text);
    // A part that is deleted is answered again.
    fs::remove_file(&marked).unwrap();
    succeeds(&workspace, "in.jsonl", "out", &["--rows-per-part", "3"]);
    assert_eq!(values(&rows(&workspace, "out"), "id"), ids(7));
}

#[test]
fn other_settings_are_refused() {
    let workspace = Workspace::empty();
    write_questions(&workspace, 3);
    succeeds(&workspace, "in.jsonl", "out", &[]);
    let before = files(&workspace, "out");
    for (more, difference) in [
        (&["--rows-per-part", "2"][..], "rows_per_part was 1000, is 2"),
        (&["--shard", "1/2"], "shards was 1, is 2"),
        (&["--min-new-tokens", "2"], "sampling.min_new_tokens was 0, is 2"),
        (&["--prompt", "{id}?"], "columns.prompt was null, is \"{id}?\""),
        (&["--messages-column", "id"], "columns.messages was \"messages\", is \"id\""),
        (&["--id-column", "id"], "id_column was null, is \"id\""),
        (&["--resize", "global-only"], "model.resize was \"faithful\", is \"global-only\""),
        (&["--dtype", "q8"], "model.dtype was"),
    ] {
        let error = workspace.fails(&args("in.jsonl", "out", more));
        assert!(error.contains(difference) && error.contains("batch.json"), "{error}");
    }
    let error = workspace.fails(&["batch", "in.jsonl", "--out", "out", "--model", "demo", "--max-new-tokens", "3"]);
    assert!(error.contains("model.name was \"random tiny\", is \"demo\""), "{error}");
    write_questions(&workspace, 4);
    let error = workspace.fails(&args("in.jsonl", "out", &[]));
    assert!(error.contains("input_hash was"), "{error}");
    fs::rename(workspace.path("in.jsonl"), workspace.path("other.jsonl")).unwrap();
    let error = workspace.fails(&args("other.jsonl", "out", &[]));
    assert!(error.contains("other.jsonl"), "{error}");
    assert_eq!(files(&workspace, "out"), before);

    fs::remove_file(workspace.path("out/batch.json")).unwrap();
    let error = workspace.fails(&args("other.jsonl", "out", &[]));
    assert!(error.contains("batch.json is missing"), "{error}");
    workspace.write("out/batch.json", b"{\"version\": ");
    let error = workspace.fails(&args("other.jsonl", "out", &[]));
    assert!(error.contains("damaged"), "{error}");
}

#[test]
fn shards_share_a_folder_but_not_a_shard() {
    let workspace = Workspace::empty();
    write_questions(&workspace, 50);
    let numbers = ["1/3", "2/3", "3/3"];
    let children = numbers.map(|shard| spawn(&workspace, &["--rows-per-part", "7", "--shard", shard]));
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let files = files(&workspace, "out");
    assert_eq!(files.len(), 9);
    assert!(files["shard-2-of-3-part-00002.jsonl"].starts_with("{\"id\":\"row 43\""));
    let mut found: Vec<String> =
        rows(&workspace, "out").iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    found.sort_by_key(|id| id[4..].parse::<u64>().unwrap());
    assert_eq!(found, ids(50).iter().map(|id| id.as_str().unwrap()).collect::<Vec<_>>());

    let lock = fs::OpenOptions::new().write(true).open(workspace.path("out/.shard-2-of-3.lock")).unwrap();
    lock.lock().unwrap();
    let error = workspace.fails(&args("in.jsonl", "out", &["--rows-per-part", "7", "--shard", "2/3"]));
    assert!(error.contains("another process is writing shard 2/3"), "{error}");
    succeeds(&workspace, "in.jsonl", "out", &["--rows-per-part", "7", "--shard", "1/3"]);
    drop(lock);
    succeeds(&workspace, "in.jsonl", "out", &["--rows-per-part", "7", "--shard", "2/3"]);
    assert_eq!(run(&workspace, "in.jsonl", "out", &["--rows-per-part", "7"]).status.code(), Some(1));
}
