//! `smolvlm random`: writes a randomly initialized checkpoint.

use crate::args::Random;
use crate::failure::Failure;

/// Writes a complete checkpoint folder with random weights.
pub fn run(args: &Random) -> Result<(), Failure> {
    crate::output::discard_on_interrupt()?;
    let kept = crate::output::check_folder(&args.out, args.force, smolvlm::is_checkpoint_file)?;
    smolvlm::write_random_checkpoint(args.preset, args.dtype, args.seed, &args.out)?;
    crate::output::note_kept(&args.out, &kept);
    Ok(())
}
