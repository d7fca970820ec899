//! Loading, running and generating with tiny models. One target, because each target links the whole of Burn.

mod adapters;
mod files;
mod loading;
mod running;
mod sequences;
mod support;
