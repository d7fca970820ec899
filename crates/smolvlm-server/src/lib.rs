#![doc = include_str!("../README.md")]

mod admission;
mod answer;
mod api_error;
mod backend;
mod config;
mod connections;
mod decisions;
mod error;
mod generation;
mod health;
mod llama;
mod metrics;
mod ollama;
mod openai;
mod openapi;
mod page;
mod prompt_speed;
mod request;
mod router;
mod security;
mod server;
mod state;
mod stream;
#[cfg(test)]
mod tests;

pub use config::{Log, ServerConfig};
pub use error::Error;
pub use server::{Server, Stop};
