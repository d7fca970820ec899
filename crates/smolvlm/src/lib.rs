//! SmolVLM vision-language models: load, ask about images, stream the answer
