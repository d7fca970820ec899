//! Images to SmolVLM tiles, bit for bit as the reference makes them
