//! The tensor operations SmolVLM is made of, on every Burn backend
