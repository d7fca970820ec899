//! `smolvlm random`: a checkpoint nobody has trained.

use crate::args::Random;
use crate::failure::Failure;

/// Writes a whole checkpoint folder with random weights.
pub fn run(args: &Random) -> Result<(), Failure> {
    if args.out.exists() && !args.force {
        let message = "is there already; --force replaces it".to_owned();
        return Err(Failure::Write { path: args.out.clone(), message });
    }
    Ok(smolvlm::write_random_checkpoint(args.preset, args.dtype, args.seed, &args.out)?)
}
