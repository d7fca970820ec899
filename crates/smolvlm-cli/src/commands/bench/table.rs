//! The report as JSON and as text.

use super::Report;
use serde_json::{Map, Value, json};
use smolvlm::PeakRates;

/// The report as one JSON object, with null for skipped stages.
pub fn as_json(report: &Report) -> Value {
    let entry = |key: &str, value: Option<f64>| (key.to_owned(), json!(value));
    let stages: Map<String, Value> = report.figures.iter().map(|figure| entry(figure.key, figure.value)).collect();
    let with_work = report.figures.iter().filter(|figure| figure.work.is_some());
    let share: Map<String, Value> = with_work.map(|figure| entry(figure.key, report.share(figure))).collect();
    let ceilings = |of: fn(&PeakRates) -> Option<f64>| report.ceilings.as_ref().and_then(of);
    let mut object = json!({
        "model": report.model,
        "device": report.device,
        "dtype": report.dtype,
        "threads": report.threads,
        "runs": report.runs,
        "stages": stages,
        "share": share,
        "ceilings": {
            "fma_f32_gflops": ceilings(|of| Some(of.fma_f32_gflops)),
            "dot_bf16_gflops": ceilings(|of| of.dot_bf16_gflops),
            "dot_int8_gops": ceilings(|of| of.dot_int8_gops),
            "read_gbytes_s": ceilings(|of| Some(of.read_gbytes_s)),
        },
    });
    if let Some(peak) = report.peak_mb {
        object["peak_mb"] = json!(peak);
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
    for figure in &report.figures {
        let value = match figure.value {
            Some(rate) if figure.is_rate => format!("{rate:>10.1} tokens/s"),
            Some(seconds) => format!("{seconds:>10.4} s"),
            None => format!("{:>10}", "-"),
        };
        let share = report.share(figure).map_or(String::new(), |share| format!("{:>6.1} %", share * 100.0));
        lines.push(format!("{:<28}{value:<20}{share}", figure.words).trim_end().to_owned());
    }
    if let Some(peak) = report.peak_mb {
        lines.push(format!("{:<28}{peak:>10.0} MB", "peak memory up to the answer"));
    }
    if let Some(ceilings) = &report.ceilings {
        let mut best = vec![format!("f32 {:.0} GFLOP/s", ceilings.fma_f32_gflops)];
        best.extend(ceilings.dot_bf16_gflops.map(|rate| format!("bf16 {rate:.0} GFLOP/s")));
        best.extend(ceilings.dot_int8_gops.map(|rate| format!("int8 {rate:.0} GOP/s")));
        best.push(format!("memory {:.1} GB/s", ceilings.read_gbytes_s));
        lines.extend([String::new(), format!("peak rates of {device}: {}", best.join(", "))]);
    }
    lines.join("\n")
}
