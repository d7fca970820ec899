//! `smolvlm quantize`: writes a quantized checkpoint, or GGUF files.

use crate::args::{Quantize, QuantizedFiles};
use crate::failure::Failure;
use smolvlm::GgufTypes;

/// Writes a folder with quantized matrices.
pub fn run(args: &Quantize) -> Result<(), Failure> {
    crate::output::discard_on_interrupt()?;
    let is_replaced = match args.format {
        QuantizedFiles::Safetensors => smolvlm::is_checkpoint_file,
        QuantizedFiles::Gguf => smolvlm::is_replaced_by_export,
    };
    let kept = crate::output::check_folder(&args.out, args.force, is_replaced)?;
    let source = args.source()?;
    let mut progress = crate::download_bar::download_bar();
    match args.format {
        QuantizedFiles::Safetensors => {
            smolvlm::quantize(source, &args.adapter, args.dtype.parse()?, &args.out, &mut progress)?;
        }
        QuantizedFiles::Gguf => {
            let types = GgufTypes::parse(&args.dtype, &args.mmproj_dtype)?;
            smolvlm::export_gguf(source, &args.adapter, types, &args.out, &mut progress)?;
        }
    }
    crate::output::note_kept(&args.out, &kept);
    Ok(())
}
