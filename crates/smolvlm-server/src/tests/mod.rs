//! Tests through the router: with the demo model, or with a backend that misbehaves.

mod admission;
mod caches;
mod chat;
mod chat_stream;
mod clients;
mod completions;
mod connections;
mod constraints;
mod continuation;
mod decisions;
mod error_bodies;
mod errors;
#[cfg(feature = "http")]
mod fetching;
mod llama;
mod media;
mod media_options;
mod metrics;
mod numbers;
mod ollama;
mod page;
mod robustness;
mod sampling;
mod security;
mod support;
