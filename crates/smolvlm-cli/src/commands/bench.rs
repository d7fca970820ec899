//! `smolvlm bench`: how long each stage takes, and how far it is from what this machine can do.

mod peak;
mod picture;
mod stages;
mod table;
mod work;

pub use picture::PictureError;

use crate::args::Bench;
use crate::failure::Failure;
use smolvlm::{Device, Options, PeakRates};
use stages::{Figure, Measures, Stages};
use std::io::Write;
use std::num::NonZero;
use std::time::Instant;

/// Runs that count when nobody says how many.
const RUNS: usize = 5;

/// All that was found out.
struct Report {
    model: String,
    device: String,
    dtype: String,
    format: work::Format,
    threads: usize,
    runs: usize,
    figures: Vec<Figure>,
    peak_mb: Option<f64>,
    ceilings: Option<PeakRates>,
}

/// Times the stages, then the machine, and prints both.
pub fn run(args: &Bench) -> Result<(), Failure> {
    let threads = args.model.threads.map(usize::from);
    let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get));
    let runs = args.runs.map_or(if args.quick { 1 } else { RUNS }, usize::from);
    // A picture that is seen again must be encoded again.
    let options = Options { threads: Some(threads), feature_cache_bytes: 0, ..args.model.options() };

    // What is downloaded first is no part of loading.
    args.model.open()?;
    progress("loading");
    let clock = Instant::now();
    let model = args.model.load_with(options)?;
    let load = Figure::seconds("load_s", "load", Some(clock.elapsed().as_secs_f64()), None);

    let stages = Stages::new(&model, runs)?;
    let (image, answer) = (stages.image()?, stages.answer()?);
    // Before stages that take more at once than an answer does, and before the ceilings take their buffer.
    let peak_mb = peak::megabytes();
    let measures = match model.device().device {
        _ if args.quick => Measures::QUICK,
        Device::Flex => Measures::CPU,
        _ => Measures::GPU,
    };
    let mut figures = vec![load, image];
    figures.extend(stages.inner(&measures)?);
    figures.extend(answer);
    progress("ceilings of this machine");
    let report = Report {
        model: args.model.random.map_or_else(|| args.model.model.clone(), |preset| format!("random {preset}")),
        device: model.device().device.to_string(),
        dtype: model.format().to_string(),
        format: work::format(model.format()),
        threads,
        runs,
        figures,
        peak_mb,
        ceilings: model.peak_rates(),
    };
    let mut stdout = std::io::stdout().lock();
    let shown = if args.json { table::as_json(&report).to_string() } else { table::as_text(&report) };
    writeln!(stdout, "{shown}")?;
    Ok(())
}

impl Report {
    /// How much of what the machine can do a stage does; none for stages that are neither arithmetic nor weights.
    fn share(&self, figure: &Figure) -> Option<f64> {
        let least = figure.work?.seconds(&self.format, self.ceilings.as_ref()?);
        Some(least / figure.taken()?)
    }
}

fn progress(stage: &str) {
    crate::say::progress(stage);
}
