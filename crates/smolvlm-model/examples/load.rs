//! Measures time and memory of writing and loading a checkpoint: `load [256m|500m|2.2b] [stored] [run-time]`, with
//! types like `bfloat16`. Writes random weights to the temporary folder.

use std::time::Instant;

use burn::tensor::Device;
use smolvlm_checkpoint::{Weights, write_random_weights};
use smolvlm_config::{FloatType, Preset};
use smolvlm_model::SmolVlmModel;

/// Peak and current memory of this process in MB; zeros without `/proc`.
fn memory() -> [usize; 2] {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ["VmHWM:", "VmRSS:"].map(|field| {
        let line = text.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
        line.split_whitespace().next().and_then(|number| number.parse::<usize>().ok()).unwrap_or_default() / 1024
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let preset: Preset = arguments.next().unwrap_or("256m".to_owned()).parse()?;
    let mut float = |default: &str| FloatType::from_name(&arguments.next().unwrap_or(default.to_owned()), "type");
    let (stored, float) = (float("bfloat16")?, float("float32")?);
    let config = preset.model();
    let path = std::env::temp_dir().join(format!("smolvlm-{}-{}.safetensors", preset.name(), stored.name()));

    let start = Instant::now();
    write_random_weights(&config, 0, stored, &path)?;
    println!("written in {:.2} s; peak and current memory {:?} MB", start.elapsed().as_secs_f64(), memory());
    for _ in 0..3 {
        let start = Instant::now();
        let weights = Weights::open(&path)?;
        let opened = start.elapsed().as_secs_f64();
        let model = SmolVlmModel::load(&config, &weights, &Device::flex(), float)?;
        let loaded = start.elapsed().as_secs_f64();
        println!("opened in {opened:.4} s, loaded in {loaded:.2} s; peak and current memory {:?} MB", memory());
        drop(model);
    }
    let start = Instant::now();
    let model = SmolVlmModel::random(&config, 0, &Device::flex(), float)?;
    println!("generated in {:.2} s; peak and current memory {:?} MB", start.elapsed().as_secs_f64(), memory());
    drop(model);
    std::fs::remove_file(path)?;
    Ok(())
}
