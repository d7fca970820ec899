//! The report as JSON and as text.

use super::Report;
use serde_json::{Map, Value, json};
use smolvlm::PeakRates;

/// The report as one JSON object, with null for skipped stages.
pub fn as_json(report: &Report) -> Value {
    let entry = |key: &str, value: Option<f64>| (key.to_owned(), json!(value));
    let stages: Map<String, Value> =
        report.measurements.iter().map(|measurement| entry(measurement.key, measurement.value)).collect();
    let with_work = report.measurements.iter().filter(|measurement| measurement.work.is_some());
    let share: Map<String, Value> =
        with_work.map(|measurement| entry(measurement.key, report.share(measurement))).collect();
    let peak_rates = |of: fn(&PeakRates) -> Option<f64>| report.peak_rates.as_ref().and_then(of);
    let mut object = json!({
        "model": report.model,
        "device": report.device,
        "dtype": report.dtype,
        "threads": report.threads,
        "runs": report.runs,
        "stages": stages,
        "share": share,
        "peak_rates": {
            "fma_f32_gflops": peak_rates(|of| Some(of.fma_f32_gflops)),
            "dot_bf16_gflops": peak_rates(|of| of.dot_bf16_gflops),
            "dot_int8_gops": peak_rates(|of| of.dot_int8_gops),
            "read_gbytes_s": peak_rates(|of| Some(of.read_gbytes_s)),
        },
    });
    if let Some(peak) = report.peak_mib {
        object["peak_mib"] = json!(peak);
    }
    object
}

/// The report as a table: a line per stage with its time or rate and its share of the peak; a dash for skipped stages.
pub fn as_text(report: &Report) -> String {
    let Report { model, device, dtype, threads, runs, .. } = report;
    let title = format!(
        "{model}, {dtype}, {device}, {threads} threads: medians of {runs} runs, shares of the peak rates of this machine"
    );
    let mut lines = vec![title, String::new()];
    for measurement in &report.measurements {
        let value = match measurement.value {
            Some(rate) if measurement.is_rate => format!("{rate:>10.1} tokens/s"),
            Some(seconds) => format!("{seconds:>10.4} s"),
            None => format!("{:>10}", "-"),
        };
        let share = report.share(measurement).map_or(String::new(), |share| format!("{:>6.1} %", share * 100.0));
        lines.push(format!("{:<28}{value:<20}{share}", measurement.words).trim_end().to_owned());
    }
    if let Some(peak) = report.peak_mib {
        lines.push(format!("{:<28}{peak:>10.0} MiB", "peak memory up to the answer"));
    }
    if let Some(peak_rates) = &report.peak_rates {
        let mut best = vec![format!("f32 {:.0} GFLOP/s", peak_rates.fma_f32_gflops)];
        best.extend(peak_rates.dot_bf16_gflops.map(|rate| format!("bf16 {rate:.0} GFLOP/s")));
        best.extend(peak_rates.dot_int8_gops.map(|rate| format!("int8 {rate:.0} GOP/s")));
        best.push(format!("memory {:.1} GB/s", peak_rates.read_gbytes_s));
        lines.extend([String::new(), format!("peak rates of {device}: {}", best.join(", "))]);
    }
    lines.join("\n")
}
