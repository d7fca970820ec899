//! One trial per golden case, so that the first failure hides no other.

use crate::{Case, Checkpoint};
use libtest_mimic::{Arguments, Trial};

/// The trials of a test target without the standard harness.
#[derive(Default)]
pub struct Trials(Vec<Trial>);

impl Trials {
    /// Adds a trial that fails if `run` panics.
    pub fn add(&mut self, name: impl Into<String>, run: impl FnOnce() + Send + 'static) {
        self.0.push(Trial::test(name, move || {
            run();
            Ok(())
        }));
    }

    /// Adds a trial for each case, named `test::checkpoint/case`.
    pub fn add_cases(&mut self, test: &str, cases: impl Fn(&Checkpoint) -> Vec<Case>, run: fn(&Checkpoint, &Case)) {
        for checkpoint in crate::checkpoints() {
            for case in cases(&checkpoint) {
                let checkpoint = checkpoint.clone();
                self.add(format!("{test}::{}", case.name), move || run(&checkpoint, &case));
            }
        }
    }

    /// Runs the trials that the command line selects and exits.
    pub fn run(self) -> ! {
        libtest_mimic::run(&Arguments::from_args(), self.0).exit()
    }
}
