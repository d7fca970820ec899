//! Prints the sizes of a preset or of a checkpoint folder, and the tiles of an image of `HEIGHT` x `WIDTH` pixels:
//! `checkpoint 256m|500m|2.2b|tiny|FOLDER [HEIGHT WIDTH]`.

use smolvlm_config::{ModelConfig, Preset, ProcessorConfig, TilePlan};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_else(|| "256m".to_owned());
    let height = args.next().map_or(Ok(480), |height| height.parse())?;
    let width = args.next().map_or(Ok(640), |width| width.parse())?;

    let folder = Path::new(&name);
    let (model, processor) = if folder.is_dir() {
        (ModelConfig::from_directory(folder)?, ProcessorConfig::from_directory(folder)?)
    } else {
        let preset: Preset = name.parse()?;
        (preset.model(), preset.processor())
    };

    println!("parameters: {:.1} million", model.parameter_count() as f64 / 1e6);
    println!("vision encoder: {} layers of width {}", model.vision.num_hidden_layers, model.vision.hidden_size);
    println!("text model: {} layers of width {}", model.text.num_hidden_layers, model.text.hidden_size);
    println!("context: {} tokens", model.text.max_position_embeddings);

    let plan = TilePlan::new(height, width, &processor.image)?;
    let tokens = plan.grid.image_tokens(model.image_seq_len());
    println!("image of {height} x {width} pixels: resized to {:?}, then to {:?}", plan.resized, plan.stretched);
    println!("{} tiles of {} pixels, {tokens} image tokens", plan.grid.tiles(), plan.tile);
    Ok(())
}
