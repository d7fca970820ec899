//! One trial per golden case, so that the first failure hides no other.

use crate::{Case, Checkpoint};
use libtest_mimic::{Arguments, Trial};
use std::sync::Arc;

/// The cases that `of` returns for each checkpoint. A process runs one trial but lists all of them, so targets call
/// this once.
pub fn cases_of_all_checkpoints(of: fn(&Checkpoint) -> Vec<Case>) -> Vec<Arc<(Checkpoint, Case)>> {
    let cases =
        |checkpoint: Checkpoint| of(&checkpoint).into_iter().map(move |case| Arc::new((checkpoint.clone(), case)));
    crate::checkpoints().into_iter().flat_map(cases).collect()
}

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
    pub fn add_cases(&mut self, test: &str, cases: &[Arc<(Checkpoint, Case)>], run: fn(&Checkpoint, &Case)) {
        for case in cases {
            let case = case.clone();
            self.add(format!("{test}::{}", case.1.name), move || run(&case.0, &case.1));
        }
    }

    /// Runs the trials that the command line selects and exits.
    pub fn run(self) -> ! {
        libtest_mimic::run(&Arguments::from_args(), self.0).exit()
    }
}
