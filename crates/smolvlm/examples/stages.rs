//! Times the stages of a checkpoint: `stages DIR f32|bf16|f16 [THREADS]`. See tests/bench/README.md.

use smolvlm::model::{KvCache, ModelInputs};
use smolvlm::{Options, SmolVlm, Source};
use std::time::Instant;

const PREFILL: u32 = 900;
const RUNS: usize = 5;
const DECODE_STEPS: usize = 30;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("which checkpoint folder?")?;
    let dtype = args.next().ok_or("f32, bf16 or f16?")?.parse()?;
    if let Some(threads) = args.next() {
        rayon::ThreadPoolBuilder::new().num_threads(threads.parse()?).build_global()?;
    }

    let clock = Instant::now();
    let smolvlm = SmolVlm::load(Source::directory(folder), Options { dtype, ..Options::default() })?;
    show("load", clock.elapsed().as_secs_f64(), "s");
    show("peak memory after load", peak_megabytes(), "MB");

    let (model, config) = (smolvlm.model(), smolvlm.config());
    let edge = config.vision.image_size;
    let tile: Vec<f32> = (0..3 * edge * edge).map(|i| (i % 255) as f32 / 127.5 - 1.0).collect();
    let tile =
        || model.image_features(&[&tile], edge, 1, false).map(|features| features.map(|f| f.features.into_data()));
    show("one tile", median(RUNS, || tile().map(drop))?, "s");

    let prompt = ModelInputs::text(&(0..PREFILL).map(|i| i % 1000 + 3).collect::<Vec<u32>>());
    let cache = || model.new_cache(&prompt.padding, prompt.len() + DECODE_STEPS);
    show("prefill 900", median(RUNS, || model.prefill(&prompt, &mut cache()).map(drop))?, "s");

    let mut filled: KvCache = cache();
    model.prefill(&prompt, &mut filled)?;
    let step = median(3, || {
        filled.truncate(prompt.len());
        (0..DECODE_STEPS).try_for_each(|_| model.decode(&[5], &mut filled).map(drop))
    })? / DECODE_STEPS as f64;
    show("decode step", step, "s");
    show("decode rate", 1.0 / step, "tokens/s");
    show("peak memory", peak_megabytes(), "MB");
    Ok(())
}

/// Median of the seconds that some runs take, after one that warms up.
fn median<E>(runs: usize, mut work: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    work()?;
    let mut seconds = Vec::with_capacity(runs);
    for _ in 0..runs {
        let clock = Instant::now();
        work()?;
        seconds.push(clock.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[runs / 2])
}

/// Peak of resident memory, as Linux counts it; 0 elsewhere.
fn peak_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or(0.0) / 1024.0
}

fn show(name: &str, value: f64, unit: &str) {
    println!("{name:<28}{value:10.4} {unit}");
}
