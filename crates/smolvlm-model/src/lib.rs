//! The assembled SmolVLM model: weights, feature merge, hidden states, on Burn
