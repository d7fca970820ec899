//! Writing of a GGUF file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use rayon::prelude::*;
use smolvlm_config::FloatType;
use smolvlm_files::OutputFile;

use super::GGUF_MAGIC;
use super::encode::encode_row;
use super::ggml_type::GgmlType;
use super::metadata::{Metadata, put_text};
use super::names::RowOrder;
use crate::error::Error;
use crate::tensor_specs::TensorSpec;
use crate::tensors::TensorSource;

const VERSION: u32 = 3;
const ALIGNMENT: u64 = 32;

/// A tensor to write.
pub(super) struct Entry {
    /// Name in the file.
    pub(super) name: String,
    pub(super) spec: TensorSpec,
    pub(super) ggml_type: GgmlType,
    pub(super) order: RowOrder,
}

impl Entry {
    /// Values per row: those of the innermost dimension, of which blocks are parts.
    fn row(&self) -> usize {
        self.spec.shape.last().copied().unwrap_or(1)
    }

    fn bytes(&self) -> u64 {
        (self.spec.elements() / self.row() * self.ggml_type.row_bytes(self.row())) as u64
    }

    /// The bytes of all rows.
    fn encode(&self, source: &(dyn TensorSource + Sync)) -> Result<Vec<u8>, Error> {
        let (path, shape) = (&self.spec.module_path, &self.spec.shape);
        let &[outputs, inputs] = shape.as_slice() else {
            let values = source.tensor(path, shape, FloatType::F32)?;
            let mut row = vec![0.0; self.spec.elements()];
            values.read_row(0, &mut row);
            // A bias has the order of its matrix's rows.
            let ordered: Vec<f32> = (0..row.len()).map(|stored| row[self.order.checkpoint(stored)]).collect();
            return Ok(encode_row(self.ggml_type, &ordered));
        };
        let rows = source.rows(path, shape)?;
        let encode = |stored: usize| {
            let mut values = vec![0.0; inputs];
            rows(self.order.checkpoint(stored), &mut values);
            encode_row(self.ggml_type, &values)
        };
        let bytes = (0..outputs).into_par_iter().flat_map_iter(encode).collect();
        source.release(path);
        Ok(bytes)
    }
}

/// Writes a file, which appears under its name once it is complete. Memory holds one tensor at a time.
pub(super) fn write(
    path: &Path,
    metadata: &Metadata,
    entries: &[Entry],
    source: &(dyn TensorSource + Sync),
) -> Result<(), Error> {
    let failed = |error: io::Error| Error::io(path, error);
    let draft = OutputFile::resolve(path).and_then(|output| output.draft()).map_err(failed)?;
    let mut file = BufWriter::new(File::create(draft.path()).map_err(failed)?);
    let header = header(metadata, entries);
    file.write_all(&header).map_err(failed)?;
    let mut position = header.len() as u64;
    for entry in entries {
        pad(&mut file, &mut position).map_err(failed)?;
        let bytes = entry.encode(source)?;
        file.write_all(&bytes).map_err(failed)?;
        position += bytes.len() as u64;
    }
    pad(&mut file, &mut position).map_err(failed)?;
    file.into_inner().map_err(|error| failed(error.into_error()))?;
    draft.commit().map_err(failed)
}

fn header(metadata: &Metadata, entries: &[Entry]) -> Vec<u8> {
    let mut bytes = GGUF_MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((entries.len() as u64).to_le_bytes());
    bytes.extend(metadata.count().to_le_bytes());
    bytes.extend(metadata.bytes());
    let mut offset = 0_u64;
    for entry in entries {
        put_text(&mut bytes, &entry.name);
        bytes.extend((entry.spec.shape.len() as u32).to_le_bytes());
        entry.spec.shape.iter().rev().for_each(|size| bytes.extend((*size as u64).to_le_bytes()));
        bytes.extend(entry.ggml_type.number().to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        offset = (offset + entry.bytes()).next_multiple_of(ALIGNMENT);
    }
    bytes
}

/// Writes zeros up to the next multiple of the alignment.
fn pad(file: &mut impl Write, position: &mut u64) -> io::Result<()> {
    let padded = position.next_multiple_of(ALIGNMENT);
    file.write_all(&vec![0; (padded - *position) as usize])?;
    *position = padded;
    Ok(())
}
