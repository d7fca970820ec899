use super::{Answerer, Outcome, Run, Summary};
use crate::args::{Format, Shard};
use crate::commands::batch::input::Input;
use crate::commands::batch::output::{Answer, IdType, Parts};
use crate::commands::batch::progress::Progress;
use crate::commands::batch::row::Row;
use crate::failure::Failure;
use serde_json::{Value, json};
use smolvlm::Cancel;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Answers each row with its index.
struct Echo<F>(F);

impl<F: Fn(u64) -> Option<Outcome> + Sync> Answerer for Echo<F> {
    fn answer(&self, row: Row) -> Outcome {
        let id = row.id(None).unwrap();
        let answer = Answer { text: Some(format!("{}", row.index)), error: None, ..Answer::failed(id, String::new()) };
        (self.0)(row.index).unwrap_or(Outcome::Answered(answer, 1))
    }
}

fn data(folder: &Path, rows: u64) -> Input {
    let lines: String = (0..rows).map(|row| format!("{{\"id\": \"row {row}\"}}\n")).collect();
    fs::write(folder.join("in.jsonl"), lines).unwrap();
    Input::open(&folder.join("in.jsonl")).unwrap()
}

fn parts(folder: &Path, shard: &str, rows: u64) -> Parts {
    let out = folder.join("out");
    fs::create_dir_all(&out).unwrap();
    let shard: Shard = shard.parse().unwrap();
    Parts { folder: out, shard, format: Format::Jsonl, rows, id_type: IdType::Text }
}

fn run_until(
    input: &Input,
    parts: &Parts,
    in_flight: usize,
    stop: &Cancel,
    answerer: &dyn Answerer,
) -> Result<Summary, Failure> {
    Run { input, columns: &[], parts, answerer, in_flight, stop }.run(&mut Progress::new())
}

fn run(input: &Input, parts: &Parts, in_flight: usize, answer: impl Fn(u64) -> Option<Outcome> + Sync) -> Summary {
    run_until(input, parts, in_flight, &Cancel::new(), &Echo(answer)).unwrap()
}

/// The indices in each file, which must be the texts of rows in order.
fn output(folder: &Path) -> BTreeMap<String, Vec<u64>> {
    let entries = fs::read_dir(folder.join("out")).unwrap().map(|entry| entry.unwrap());
    let file = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path()).unwrap();
        let index = |line: &str| {
            let row: Value = serde_json::from_str(line).unwrap();
            let index: u64 = row["text"].as_str().unwrap().parse().unwrap();
            assert_eq!(row["id"], format!("row {index}"));
            index
        };
        (entry.file_name().into_string().unwrap(), text.lines().map(index).collect())
    };
    entries.map(file).collect()
}

#[test]
fn parts_hold_all_rows_in_order() {
    for (rows, per_part, in_flight) in [(0, 3, 2), (1, 3, 2), (6, 3, 4), (7, 3, 16), (20, 1, 5), (10, 100, 3)] {
        let folder = tempfile::tempdir().unwrap();
        let (input, parts) = (data(folder.path(), rows), parts(folder.path(), "1/1", per_part));
        let summary = run(&input, &parts, in_flight, |index| {
            std::thread::sleep(Duration::from_micros(700 * (7 * index % 5)));
            None
        });
        assert_eq!(summary, Summary { rows, ..Summary::default() });
        let expected = (0..rows.div_ceil(per_part)).map(|part| {
            let indices = part * per_part..rows.min((part + 1) * per_part);
            (format!("part-{part:05}.jsonl"), indices.collect::<Vec<_>>())
        });
        assert_eq!(output(folder.path()), expected.collect(), "{rows} rows");
    }
}

#[test]
fn shards_hold_every_row_once() {
    let folder = tempfile::tempdir().unwrap();
    let input = data(folder.path(), 11);
    for shard in ["1/3", "2/3", "3/3"] {
        run(&input, &parts(folder.path(), shard, 2), 4, |_| None);
    }
    let output = output(folder.path());
    assert_eq!(output["shard-2-of-3-part-00001.jsonl"], [7, 10]);
    assert_eq!(output["shard-3-of-3-part-00001.jsonl"], [8]);
    let mut all: Vec<u64> = output.into_values().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, (0..11).collect::<Vec<_>>());
}

#[test]
fn answered_rows_are_not_answered_again() {
    let folder = tempfile::tempdir().unwrap();
    let (input, parts) = (data(folder.path(), 50), parts(folder.path(), "1/1", 4));
    let calls: Vec<AtomicU64> = (0..50).map(|_| AtomicU64::new(0)).collect();
    let device = || Outcome::Failed(smolvlm::Error::EngineStopped.into());
    for failing in [Some(3), Some(18), Some(47), None, None] {
        let answerer = Echo(|index| {
            let is_failing = Some(index) == failing;
            calls[index as usize].fetch_add(u64::from(!is_failing), Ordering::Relaxed);
            is_failing.then(device)
        });
        let outcome = run_until(&input, &parts, 3, &Cancel::new(), &answerer);
        assert_eq!(outcome.is_err(), failing.is_some(), "{failing:?}");
    }
    assert!(calls.iter().all(|calls| (1..=2).contains(&calls.load(Ordering::Relaxed))));
    let output = output(folder.path());
    assert_eq!(output.len(), 13);
    assert!(output.into_values().flatten().eq(0..50));
}

#[test]
fn a_stopped_run_keeps_its_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (input, parts) = (data(folder.path(), 1000), parts(folder.path(), "1/1", 100));
    let stop = Cancel::new();
    let answerer = Echo(|index| {
        if index == 250 {
            stop.cancel();
        }
        stop.is_cancelled().then_some(Outcome::Cancelled)
    });
    let stopped = run_until(&input, &parts, 4, &stop, &answerer).unwrap();
    assert!((240..1000).contains(&stopped.rows), "{stopped:?}");
    let resumed = run(&input, &parts, 4, |_| None);
    assert_eq!((resumed.rows, resumed.earlier_rows), (1000 - stopped.rows, stopped.rows));
    assert!(output(folder.path()).into_values().flatten().eq(0..1000));
}

#[test]
fn rows_of_a_journal_that_do_not_exist_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let (input, parts) = (data(folder.path(), 5), parts(folder.path(), "1/1", 4));
    let entry = |index: u64| {
        let answer = Answer {
            text: Some(format!("{index}")),
            error: None,
            ..Answer::failed(json!(format!("row {index}")), String::new())
        };
        format!("{}\n", json!({"index": index, "answer": answer}))
    };
    let journal = parts.folder.join("part-00001.jsonl.partial");
    fs::write(journal, [1, 4, 6].map(entry).concat()).unwrap();
    let summary = run(&input, &parts, 2, |_| None);
    assert_eq!(summary.rows, 4);
    assert_eq!(output(folder.path())["part-00001.jsonl"], [4]);
}

#[test]
fn slow_rows_hold_back_others_only_if_they_are_in_several_parts() {
    for (slow, before) in [(&[0][..], 99), (&[0, 5], 8)] {
        let folder = tempfile::tempdir().unwrap();
        let (input, parts) = (data(folder.path(), 100), parts(folder.path(), "1/1", 5));
        let answered = AtomicU64::new(0);
        let (waiting, least) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        run(&input, &parts, 4, |index| {
            if slow.contains(&index) {
                // Until no other row is answered any more, and for a while.
                waiting.fetch_add(1, Ordering::Relaxed);
                let (mut last, mut since) = (0, Instant::now());
                while since.elapsed() < Duration::from_millis(500)
                    || waiting.load(Ordering::Relaxed) < slow.len() as u64
                {
                    let now = answered.load(Ordering::Relaxed);
                    if now != last {
                        (last, since) = (now, Instant::now());
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                least.fetch_min(last, Ordering::Relaxed);
            } else {
                answered.fetch_add(1, Ordering::Relaxed);
            }
            None
        });
        assert!(output(folder.path()).into_values().flatten().eq(0..100));
        assert_eq!(least.load(Ordering::Relaxed), before, "{slow:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_data_set() {
    /// Resident memory in KiB.
    fn resident() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    }
    let folder = tempfile::tempdir().unwrap();
    let rows = 100_000_u64;
    let line = |row| format!("{{\"id\": \"row {row}\", \"padding\": \"{}\"}}\n", "x".repeat(500));
    fs::write(folder.path().join("in.jsonl"), (0..rows).map(line).collect::<String>()).unwrap();
    let input = Input::open(&folder.path().join("in.jsonl")).unwrap();
    let parts = parts(folder.path(), "1/1", 1000);
    let early = AtomicU64::new(0);
    let summary = run(&input, &parts, 8, |index| {
        if index == rows / 10 {
            early.store(resident(), Ordering::Relaxed);
        }
        None
    });
    let grown = resident().saturating_sub(early.load(Ordering::Relaxed));
    assert_eq!(summary.rows, rows);
    // The rows that followed have 45 MB.
    assert!(grown < 8 << 10, "{grown} KiB");
}
