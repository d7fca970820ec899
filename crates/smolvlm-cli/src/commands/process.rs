//! `smolvlm process`: conversations in, model inputs out.

use crate::args::Process;
use crate::failure::Failure;
use crate::output::{Array, write_arrays};
use smolvlm::SmolVlm;
use std::collections::HashMap;

/// Writes the inputs of the model in the reference's layout; prompts go to the file's metadata.
pub fn run(args: &Process) -> Result<(), Failure> {
    let conversations = args.input.read()?;
    let processor =
        SmolVlm::load_processor(args.model.source()?, &args.model.options(), &mut crate::output::download_bar())?;
    let batch = processor.process(&conversations, &Default::default()).map_err(smolvlm::Error::from)?;

    let text_shape = [batch.rows, batch.len];
    let mut arrays = vec![
        Array::i64("input_ids", text_shape, batch.input_ids.iter().map(|&id| i64::from(id))),
        Array::i64("attention_mask", text_shape, batch.attention_mask.iter().map(|&bit| i64::from(bit))),
    ];
    if let Some(pixels) = batch.pixel_values() {
        let [rows, tiles, _, height, width] = pixels.shape;
        arrays.push(Array::f32("pixel_values", pixels.shape, &pixels.data));
        let mask = pixels.mask.iter().copied();
        arrays.push(Array::i64("pixel_attention_mask", [rows, tiles, height, width], mask));
    }
    let prompts = batch.prompts.iter().enumerate().map(|(row, prompt)| (format!("prompt.{row}"), prompt.clone()));
    write_arrays(&args.out, &arrays, prompts.collect::<HashMap<_, _>>())
}
