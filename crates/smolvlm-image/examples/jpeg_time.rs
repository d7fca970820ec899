//! Time to decode a JPEG file, the least of several: `jpeg_time FILE [RUNS]`.

use smolvlm_image::{Limits, decode};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(path), runs) = (args.next(), args.next().and_then(|runs| runs.parse().ok()).unwrap_or(10)) else {
        eprintln!("usage: jpeg_time FILE [RUNS]");
        return ExitCode::FAILURE;
    };
    let result = std::fs::read(&path).map_err(|error| error.to_string()).and_then(|bytes| {
        let times = (0..runs.max(1)).map(|_| {
            let start = Instant::now();
            decode(&bytes, &Limits::default()).map(|_| start.elapsed()).map_err(|error| error.to_string())
        });
        times.collect::<Result<Vec<_>, _>>()
    });
    match result {
        Ok(times) => {
            println!("{:.1} ms", times.iter().min().map_or(0.0, |time| time.as_secs_f64() * 1000.0));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{path}: {error}");
            ExitCode::FAILURE
        }
    }
}
