//! `smolvlm random`: a checkpoint nobody has trained.

use crate::args::Random;
use crate::failure::Failure;

/// Writes a whole checkpoint folder with random weights.
pub fn run(args: &Random) -> Result<(), Failure> {
    crate::output::check_folder(&args.out, args.force)?;
    Ok(smolvlm::write_random_checkpoint(args.preset, args.dtype, args.seed, &args.out)?)
}
