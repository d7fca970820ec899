//! Tests that derive answers from pixels or independent rules.

mod charts;
mod clips;
mod oracle;
mod readable;
mod samples;
mod scenes;
mod splits;

use crate::canvas::Grain;

/// No noise, no blur.
const CLEAN: Grain = Grain { noise: 0.0, blur: false, seed: 0 };
