//! `smolvlm bench`: measures each stage and compares it with the peak rates of this machine.

mod peak;
mod picture;
mod stages;
mod table;
mod work;

pub use picture::PictureError;

use crate::args::Bench;
use crate::failure::Failure;
use smolvlm::{Device, Options, PeakRates};
use stages::{Measurement, StageLimits, Stages};
use std::io::Write;
use std::time::Instant;

/// Default number of measured runs.
const RUNS: usize = 5;

/// The results of a benchmark.
struct Report {
    model: String,
    device: String,
    dtype: String,
    format: work::FormatCost,
    threads: usize,
    runs: usize,
    measurements: Vec<Measurement>,
    peak_mib: Option<f64>,
    peak_rates: Option<PeakRates>,
}

/// Measures the stages, then the peak rates of the machine, and prints both.
pub fn run(args: &Bench) -> Result<(), Failure> {
    let threads = args.model.threads.map(usize::from);
    let threads = threads.unwrap_or_else(smolvlm::default_threads);
    let runs = args.runs.map_or(if args.quick { 1 } else { RUNS }, usize::from);
    // Without caches, so that each run encodes the image.
    let options = Options {
        threads: Some(threads),
        feature_cache_bytes: 0,
        feature_cache: None,
        prefix_cache_bytes: 0,
        ..args.model.options()
    };

    // Download before measuring the load time.
    args.model.open()?;
    progress("loading");
    let clock = Instant::now();
    let model = args.model.load_with(options)?;
    let load = Measurement::seconds("load_s", "load", Some(clock.elapsed().as_secs_f64()), None);

    let stages = Stages::new(&model, runs)?;
    let (image, answer) = (stages.image()?, stages.answer()?);
    // Before stages that need more memory than the answer, and before the buffer of the peak measurement.
    let peak_mib = peak::mebibytes();
    let limits = match model.device().device {
        _ if args.quick => StageLimits::QUICK,
        Device::Flex => StageLimits::CPU,
        _ => StageLimits::GPU,
    };
    let mut measurements = vec![load, image];
    measurements.extend(stages.inner(&limits)?);
    measurements.extend(answer);
    measurements.push(stages.answers(&limits)?);
    progress("peak rates of this machine");
    let report = Report {
        model: args.model.random.map_or_else(|| args.model.model.clone(), |preset| format!("random {preset}")),
        device: model.device().device.to_string(),
        dtype: model.format().to_string(),
        format: work::format(model.format()),
        threads,
        runs,
        measurements,
        peak_mib,
        peak_rates: model.peak_rates(),
    };
    let mut stdout = std::io::stdout().lock();
    let shown = if args.json { table::as_json(&report).to_string() } else { table::as_text(&report) };
    writeln!(stdout, "{shown}")?;
    Ok(())
}

impl Report {
    /// The share of the peak rate that a stage reaches; none for stages without a work model.
    fn share(&self, measurement: &Measurement) -> Option<f64> {
        let minimum = measurement.work?.seconds(&self.format, self.peak_rates.as_ref()?);
        Some(minimum / measurement.taken()?)
    }
}

fn progress(stage: &str) {
    crate::say::progress(stage);
}
