//! Reading and validation of requests.

pub(crate) mod body;
pub(crate) mod constraint;
pub(crate) mod cost;
pub(crate) mod fields;
pub(crate) mod media_options;
pub(crate) mod messages;
pub(crate) mod number;
pub(crate) mod params;
pub(crate) mod prompt;
