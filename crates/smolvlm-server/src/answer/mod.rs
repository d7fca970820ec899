//! Text, log-probabilities and usage of responses, from events of the model.

pub(crate) mod logprobs;
pub(crate) mod stop_filter;
pub(crate) mod text;
pub(crate) mod usage;
