//! Configuration files, presets and tile geometry of the SmolVLM family
