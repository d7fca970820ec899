//! The reference's goldens: one trial per case and stage or property.

mod conversations;
mod stages;

use smolvlm_tests::{Checkpoint, Trials, cases_of_all_checkpoints};

fn main() {
    let cases = cases_of_all_checkpoints(Checkpoint::all_cases);
    let mut trials = Trials::default();
    stages::add(&mut trials, &cases);
    conversations::add(&mut trials, &cases);
    trials.run()
}
