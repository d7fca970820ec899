#![doc = include_str!("../README.md")]

mod docling;
mod doctags;
mod document;
mod grammar;
mod html;
mod markdown;
mod names;
mod nesting;
mod otsl;
mod read;
mod tags;

pub use document::{BoundingBox, Cell, CellKind, Document, Item, Label, MAX_LOCATION, Page, PageSize, Table};
pub use grammar::grammar;
