//! From events of the model to the text, log-probabilities and figures of responses.

pub(crate) mod logprobs;
pub(crate) mod stop_filter;
pub(crate) mod text;
pub(crate) mod usage;
