//! The SigLIP vision encoder of SmolVLM, on Burn
