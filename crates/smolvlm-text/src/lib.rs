//! The SmolLM2 (Llama) text model of SmolVLM, on Burn
