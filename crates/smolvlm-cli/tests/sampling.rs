//! Sampling flags: each has an effect.

mod support;

use serde_json::{Value, json};
use support::Workspace;

fn workspace() -> Workspace {
    let workspace = Workspace::empty();
    let chat = json!([{"role": "user", "content": [{"type": "text", "text": "Tell me."}]}]);
    workspace.write("chat.json", chat.to_string().as_bytes());
    workspace
}

/// The answers of `generate`, one per line of its output.
fn answers(workspace: &Workspace, more: &[&str]) -> Vec<Value> {
    let base = ["generate", "--conversation", "chat.json", "--random", "tiny", "--json", "--max-new-tokens", "12"];
    let lines = workspace.succeeds(&[&base[..], more].concat());
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn tokens(workspace: &Workspace, more: &[&str]) -> Vec<u64> {
    let answer = &answers(workspace, more)[0];
    answer["token_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect()
}

#[test]
fn the_seed_determines_the_answer() {
    let workspace = workspace();
    let seeded = |seed: &str| tokens(&workspace, &["--seed", seed, "--top-k", "0"]);
    assert_eq!(seeded("1"), seeded("1"));
    assert_ne!(seeded("1"), seeded("2"));
}

#[test]
fn sampling_flags_turn_sampling_on_unless_greedy_is_given() {
    let workspace = workspace();
    let greedy = tokens(&workspace, &[]);
    for flag in [
        ["--temperature", "30"],
        ["--top-k", "40000"],
        ["--top-p", "0.999"],
        ["--min-p", "0.0001"],
        ["--typical-p", "0.99"],
    ] {
        let seeded = [&flag[..], &["--seed", "3"]].concat();
        assert_ne!(tokens(&workspace, &seeded), greedy, "{flag:?}");
        assert_eq!(tokens(&workspace, &[&seeded[..], &["--greedy"]].concat()), greedy, "{flag:?}");
    }
    assert_eq!(tokens(&workspace, &["--do-sample", "--seed", "3"]), tokens(&workspace, &["--seed", "3"]));
    assert_eq!(tokens(&workspace, &["--do-sample", "--top-k", "1"]), greedy);
    assert_eq!(tokens(&workspace, &["--temperature", "0", "--do-sample", "--seed", "3", "--top-p", "0.999"]), greedy);
}

#[test]
fn limits_of_length_and_time_apply_and_prefill_chunks_change_nothing() {
    let workspace = workspace();
    assert_eq!(tokens(&workspace, &["--min-new-tokens", "12"]).len(), 12);
    assert_eq!(tokens(&workspace, &["--prefill-chunk", "3"]), tokens(&workspace, &[]));
    let answer = &answers(&workspace, &["--max-time", "0"])[0];
    assert_eq!(answer["finish_reason"], "time");
    assert_eq!(answer["token_ids"].as_array().unwrap().len(), 1);
}

#[test]
fn logprobs_include_token_ids_and_texts() {
    let workspace = workspace();
    let answer = &answers(&workspace, &["--logprobs", "2"])[0];
    let logprobs = answer["logprobs"].as_array().unwrap();
    let ids: Vec<&Value> = logprobs.iter().map(|token| &token["token_id"]).collect();
    assert_eq!(ids, answer["token_ids"].as_array().unwrap().iter().collect::<Vec<_>>());
    for token in logprobs {
        let top = token["top"].as_array().unwrap();
        assert_eq!(top.len(), 2);
        // In greedy decoding, the chosen token is the most likely one.
        assert_eq!([&top[0]["token_id"], &top[0]["logprob"]], [&token["token_id"], &token["logprob"]]);
        assert!(top[1]["logprob"].as_f64().unwrap() <= top[0]["logprob"].as_f64().unwrap());
        assert!(token["logprob"].as_f64().unwrap() < 0.0 && token["token"].is_string());
    }
    assert!(answers(&workspace, &[])[0].get("logprobs").is_none());
}

#[test]
fn a_stop_string_ends_the_answer() {
    let workspace = workspace();
    let whole = &answers(&workspace, &["--logprobs", "0"])[0];
    let word = whole["logprobs"][2]["token"].as_str().unwrap();
    let stopped = &answers(&workspace, &["--stop", "never there", "--stop", word])[0];
    assert_eq!(stopped["finish_reason"], "stop_string");
    let text = stopped["text"].as_str().unwrap();
    assert!(text.contains(word) && text.len() < whole["text"].as_str().unwrap().len(), "{text:?} {word:?}");
}

#[test]
fn beams_are_sorted_by_score() {
    let workspace = workspace();
    let found = answers(&workspace, &["--num-beams", "3", "--num-return-sequences", "2", "--length-penalty", "-0.5"]);
    let scores: Vec<f64> = found.iter().map(|answer| answer["score"].as_f64().unwrap()).collect();
    assert!(scores.len() == 2 && scores[0] >= scores[1], "{scores:?}");
    assert_ne!(found[0]["token_ids"], found[1]["token_ids"]);
    assert!(answers(&workspace, &[])[0].get("score").is_none());
}

#[test]
fn describe_prints_all_returned_sequences() {
    let workspace = workspace();
    workspace.write("square.png", &support::test_file("golden/media/square.png"));
    let base = ["describe", "square.png", "--random", "tiny", "--max-new-tokens", "1", "--greedy"];
    let beams = workspace.run(&[&base[..], &["--num-beams", "2", "--num-return-sequences", "2"]].concat());
    assert!(beams.status.success(), "{beams:?}");
    let times = String::from_utf8(beams.stderr).unwrap();
    assert_eq!(times.matches("prompt tokens").count(), 2, "{times}");
    assert!(String::from_utf8(beams.stdout).unwrap().lines().count() >= 2);
}

#[test]
fn repetition_flags_change_the_answer() {
    let workspace = workspace();
    let once = tokens(&workspace, &["--no-repeat-ngram-size", "1"]);
    let distinct: std::collections::HashSet<&u64> = once.iter().collect();
    assert_eq!(distinct.len(), once.len());
    assert_ne!(
        tokens(&workspace, &["--repetition-penalty", "50"]),
        tokens(&workspace, &["--repetition-penalty", "0.02"])
    );
}

#[test]
fn the_loop_guard_ends_repetition() {
    let workspace = Workspace::with_checkpoint();
    workspace.write("square.png", &support::test_file("golden/media/square.png"));
    let image = json!([{"role": "user", "content": [{"type": "image", "path": "square.png"}]}]);
    workspace.write("chat.json", image.to_string().as_bytes());
    // A bias that makes the model repeat one token.
    let always = json!({"eos_token_id": 49279, "sequence_bias": [[[500], 1000.0]]});
    workspace.write("checkpoint/generation_config.json", always.to_string().as_bytes());
    let reason = |command: &[&str], more: &[&str]| {
        let output = workspace.run(&[command, &["--model", "checkpoint", "--max-new-tokens", "150"], more].concat());
        assert!(output.status.success(), "{output:?}");
        let times = String::from_utf8(output.stderr).unwrap();
        times.split_once("ended by ").unwrap().1.split_once(')').unwrap().0.to_owned()
    };
    let (describe, generate) = (["describe", "square.png"], ["generate", "--conversation", "chat.json"]);
    assert_eq!(reason(&describe, &[]), "repetition");
    assert_eq!(reason(&describe, &["--no-loop-guard"]), "length");
    assert_eq!(reason(&generate, &[]), "length");
    assert_eq!(reason(&generate, &["--loop-guard"]), "repetition");
}

#[test]
fn invalid_values_are_one_line_errors() {
    let workspace = workspace();
    for (flags, name) in [
        (&["--temperature", "-1"][..], "temperature"),
        (&["--top-p", "1.5"], "top_p"),
        (&["--min-p", "NaN"], "min_p"),
        (&["--typical-p", "0"], "typical_p"),
        (&["--repetition-penalty", "0"], "repetition_penalty"),
        (&["--max-new-tokens", "0"], "max_new_tokens"),
        (&["--num-beams", "0"], "num_beams"),
        (&["--num-return-sequences", "2"], "num_return_sequences"),
        (&["--prefill-chunk", "0"], "prefill_chunk"),
        (&["--length-penalty", "inf"], "length_penalty"),
        (&["--stop", ""], "stop_strings"),
        (&["--bad-word", ""], "bad_words_ids"),
        (&["--video-fps", "-1"], "fps"),
    ] {
        let base = ["generate", "--conversation", "chat.json", "--random", "tiny"];
        let line = workspace.fails(&[&base[..], flags].concat());
        assert!(line.contains(name), "{flags:?} gave {line:?}");
    }
}
