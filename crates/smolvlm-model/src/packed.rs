//! Packing of weights for the CPU kernels, directly from their source.

use crate::{Error, SmolVlmModel};
use smolvlm_checkpoint::{EMBEDDINGS_PATH, LM_HEAD, TensorSource, vision_format};
use smolvlm_kernels::Format;
use smolvlm_kernels::cpu::PackedMatrix;
use smolvlm_nn::Linear;

/// Packs every matrix of an uninitialized model. The other parameters are unchanged.
///
/// # Errors
///
/// Errors of the source.
pub(crate) fn pack(mut model: SmolVlmModel, source: &impl TensorSource, format: Format) -> Result<SmolVlmModel, Error> {
    let (vision, text) = (vision_format(format), format);
    // Pixels need more than 8 bits of precision with one scale per row, and the matrix is small.
    let patches = if format == Format::F32 { Format::F32 } else { Format::Bf16 };
    let embedding = &mut model.vision.embeddings.patch_embedding;
    let hidden = embedding.bias.lazy_shape()[0];
    let shape = [hidden, embedding.channels, embedding.patch, embedding.patch];
    embedding.pack(matrix(source, "vision.embeddings.patch_embedding.weight", &shape, patches)?);

    let vision_linears = model.vision.linears_mut().into_iter().map(|(path, linear)| ("vision.", path, linear, vision));
    let connector = ("", "connector.proj".to_owned(), &mut model.connector.proj, vision);
    let text_linears = model.text.linears_mut().into_iter().map(|(path, linear)| ("text.", path, linear, text));
    for (part, path, linear, format) in vision_linears.chain([connector]).chain(text_linears) {
        let shape = [linear.outputs(), linear.inputs()];
        linear.pack(matrix(source, &format!("{part}{path}.weight"), &shape, format)?);
    }
    // Tied embeddings are packed in addition to the table: lookups read the table, products the packed copy.
    let (mut head, path) = match model.lm_head.take() {
        Some(head) => (head, LM_HEAD),
        None => {
            let text = &model.config().text;
            let device = model.text.norm.weight.lazy_device();
            (Linear::init(text.hidden_size, text.vocab_size, false, text.initializer_range, &device), EMBEDDINGS_PATH)
        }
    };
    head.pack(matrix(source, path, &[head.outputs(), head.inputs()], text)?);
    model.lm_head = Some(head);
    Ok(model)
}

fn matrix(source: &impl TensorSource, path: &str, shape: &[usize], format: Format) -> Result<PackedMatrix, Error> {
    let rows = source.rows(path, shape)?;
    let inputs = shape[1..].iter().product();
    // The table is bf16 unless all weights are f32; the packed copy is rounded to the same values.
    let rounded = path == EMBEDDINGS_PATH && format != Format::F32;
    let matrix = PackedMatrix::pack(shape[0], inputs, format, |row, out| -> Result<(), Error> {
        rows(row, out);
        if rounded {
            out.iter_mut().for_each(|value| *value = half::bf16::from_f32(*value).to_f32());
        }
        Ok(())
    });
    drop(rows);
    source.release(path);
    matrix
}
