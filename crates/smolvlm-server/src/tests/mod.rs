//! Tests through the router: with the demo model, or with a backend that misbehaves.

mod admission;
mod chat;
mod chat_stream;
mod clients;
mod completions;
mod connections;
mod decisions;
mod error_bodies;
mod errors;
#[cfg(feature = "http")]
mod fetching;
mod figures;
mod llama;
mod media;
mod numbers;
mod ollama;
mod robustness;
mod security;
mod support;
