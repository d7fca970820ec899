//! The pixel-shuffle connector of SmolVLM, on Burn
