//! Tests that look at the pixels, or answer questions by rules of their own.

mod charts;
mod clips;
mod oracle;
mod readable;
mod scenes;
mod splits;
mod whole;

use crate::canvas::Grain;

/// No noise, no blur.
const CLEAN: Grain = Grain { noise: 0.0, blur: false, seed: 0 };
