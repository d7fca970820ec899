//! Conversations to SmolVLM model inputs: chat template, tokenizer, prompt expansion, batches
