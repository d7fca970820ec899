//! `smolvlm quantize`: writes a quantized checkpoint.

use crate::args::Quantize;
use crate::failure::Failure;

/// Writes a checkpoint folder with quantized matrices.
pub fn run(args: &Quantize) -> Result<(), Failure> {
    crate::output::discard_on_interrupt()?;
    let kept = crate::output::check_folder(&args.out, args.force)?;
    let source = args.source()?;
    smolvlm::quantize(source, &args.adapter, args.dtype, &args.out, &mut crate::download_bar::download_bar())?;
    crate::output::note_kept(&args.out, &kept);
    Ok(())
}
