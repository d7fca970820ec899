//! Training SmolVLM: from nothing, in full, or with LoRA adapters.
