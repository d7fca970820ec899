//! `smolvlm forward`: runs one forward pass and saves its outputs.

use crate::args::Forward;
use crate::array_file::{Array, ArrayFile};
use crate::failure::Failure;
use smolvlm::ForwardRequest;
use smolvlm::model::HostTensor;
use std::collections::HashMap;

/// Runs the model once over the padded batch and writes its outputs.
pub fn run(args: &Forward) -> Result<(), Failure> {
    let conversations = args.input.read()?;
    let model = args.model.load()?;
    let out = ArrayFile::new(&args.out, &args.input, &conversations, model.files())?;
    let request = ForwardRequest { all_logits: args.all_logits, stages: args.stages };
    let output = model.forward(&conversations, request)?;

    let array = |name: String, tensor: &HostTensor| Array::f32(name, tensor.shape.clone(), &tensor.data);
    let mut arrays = vec![array("logits".into(), &output.logits)];
    arrays.extend(output.image_features.iter().map(|tensor| array("image_features".into(), tensor)));
    for (name, layers) in [("vision", &output.vision_hidden_states), ("text", &output.text_hidden_states)] {
        let named = layers.iter().enumerate().map(|(i, tensor)| array(format!("{name}_hidden_states.{i}"), tensor));
        arrays.extend(named);
    }
    out.write(&arrays, HashMap::new())
}
