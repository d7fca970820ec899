//! Export of test questions, for other implementations.

use smolvlm_synth::{Kind, Split, sample, write_jsonl};
use std::error::Error;
use std::path::Path;

/// Writes the first `of_each` test questions of each kind, with their answers.
pub fn run(to: &Path, of_each: u64) -> Result<(), Box<dyn Error>> {
    let of = |kind| (0..of_each).map(move |index| sample(kind, Split::Test, index));
    write_jsonl(to, Kind::ALL.into_iter().flat_map(of))?;
    Ok(())
}
