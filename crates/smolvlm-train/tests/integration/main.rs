//! Training of tiny models. One target, because each target links the whole of Burn.

mod common;
mod lora;
mod reference;
mod targets;
mod training;
