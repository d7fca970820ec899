//! Token choice and stop rules for SmolVLM: logits rows in, tokens out
