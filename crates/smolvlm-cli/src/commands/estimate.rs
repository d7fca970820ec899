//! `smolvlm estimate`: estimates the cost of conversations without loading weights.

use crate::args::Estimate;
use crate::conversations::{Entry, Queue, error_message};
use crate::download_bar::download_bar;
use crate::failure::Failure;
use crate::{answer, media, say};
use serde_json::{Value, json};
use smolvlm::processor::MediaPlan;
use smolvlm::{Estimator, MemoryEstimate, RequestEstimate};

/// Number of conversations per batch of output.
const BATCH: usize = 64;

/// Prints tiles, tokens and memory of each conversation. Failures of single conversations are printed to stderr and do
/// not stop the others.
pub fn run(args: &Estimate) -> Result<(), Failure> {
    let queue = Queue::open(&args.input.conversation)?;
    let estimator = Estimator::open(args.model.source()?, &args.model.options(), &mut download_bar())?;
    let mut has_failed = false;
    loop {
        let batch = queue.batch(BATCH);
        if batch.is_empty() {
            return if has_failed { Err(Failure::Reported) } else { Ok(()) };
        }
        let mut shown = String::new();
        for Entry { index, conversation, .. } in batch {
            let estimate = conversation.and_then(|it| Ok(estimator.estimate(&it, args.max_new_tokens)?));
            match estimate {
                Ok(estimate) => {
                    estimate.prompt.media.iter().for_each(|medium| media::print_notes(medium.notes()));
                    shown += &if args.json { format!("{}\n", as_json(&estimate)) } else { in_lines(index, &estimate) };
                }
                Err(failure) => {
                    has_failed = true;
                    say::error(error_message(index, failure));
                }
            }
        }
        answer::to_stdout(&shown)?;
    }
}

fn in_lines(index: usize, estimate: &RequestEstimate) -> String {
    let lines = table(estimate).into_iter().map(|(name, value)| format!("  {name:<16}{value}\n"));
    format!("conversation {index}\n{}", lines.collect::<String>())
}

/// The stages of a request and their bytes.
fn stages(memory: &MemoryEstimate) -> [(&'static str, u64); 6] {
    [
        ("weights", memory.weights),
        ("pixels", memory.pixels),
        ("vision", memory.vision),
        ("cache", memory.cache),
        ("prefill", memory.prefill),
        ("peak", memory.peak()),
    ]
}

fn table(estimate: &RequestEstimate) -> Vec<(String, String)> {
    let prompt = &estimate.prompt;
    let media = prompt.media.iter().enumerate().map(|(index, medium)| (format!("medium {index}"), in_words(medium)));
    let counts = [
        ("tiles", format!("{:>10} of {edge}x{edge} pixels", prompt.tiles, edge = prompt.edge)),
        ("image tokens", format!("{:>10}", prompt.image_tokens)),
        ("prompt tokens", format!("{:>10}", prompt.prompt_tokens)),
    ];
    let memory = stages(&estimate.memory).map(|(stage, bytes)| {
        let mebibytes = bytes as f64 / f64::from(1 << 20);
        (format!("memory: {stage}"), format!("{mebibytes:>10.1} MiB"))
    });
    let refused = estimate.refused.iter().map(|reason| ("refused".to_owned(), reason.clone()));
    media.chain(counts.map(|(name, value)| (name.to_owned(), value))).chain(memory).chain(refused).collect()
}

fn in_words(medium: &MediaPlan) -> String {
    match medium {
        MediaPlan::Image(grid) if grid.tiles() == 1 => "image, 1 tile".to_owned(),
        MediaPlan::Image(grid) => format!("image, {} tiles: {}x{} and the whole", grid.tiles(), grid.rows, grid.cols),
        MediaPlan::Video(video) => format!("video, {} of {} frames", video.stamps.len(), video.metadata.frames),
        _ => format!("{} tiles", medium.tiles()),
    }
}

fn as_json(estimate: &RequestEstimate) -> Value {
    let prompt = &estimate.prompt;
    let medium = |medium: &MediaPlan| match medium {
        MediaPlan::Image(grid) => {
            json!({"type": "image", "rows": grid.rows, "cols": grid.cols, "tiles": grid.tiles()})
        }
        MediaPlan::Video(video) => {
            let indices: Vec<usize> = video.stamps.iter().map(|stamp| stamp.index).collect();
            json!({"type": "video", "indices": indices, "frames": video.metadata.frames, "tiles": indices.len()})
        }
        _ => json!({"tiles": medium.tiles()}),
    };
    json!({
        "media": prompt.media.iter().map(medium).collect::<Vec<_>>(),
        "tiles": prompt.tiles,
        "edge": prompt.edge,
        "image_tokens": prompt.image_tokens,
        "prompt_tokens": prompt.prompt_tokens,
        "refused": estimate.refused,
        "memory_bytes": stages(&estimate.memory).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
    })
}
