//! `smolvlm quantize`: a smaller checkpoint.

use crate::args::Quantize;
use crate::failure::Failure;

/// Writes a checkpoint folder with quantised matrices.
pub fn run(args: &Quantize) -> Result<(), Failure> {
    crate::output::refuse_existing(&args.out, args.force)?;
    let source = args.source()?;
    Ok(smolvlm::quantize(source, &args.adapter, args.dtype, &args.out, &mut crate::output::download_bar())?)
}
