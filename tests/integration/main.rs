//! The facade end to end. One target, because each target links the whole of Burn.

mod adapters;
mod async_stream;
mod cancel;
mod chat;
mod concurrent;
mod constrain;
mod decide;
mod demo;
mod devices;
mod examples;
mod feature_cache;
mod generation;
mod processing;
mod videos;
