//! Tensors whose loading can be cancelled.

use smolvlm_config::FloatType;
use smolvlm_kernels::PackedFormat;
use smolvlm_kernels::cpu::QuantizedRows;

use crate::error::Error;
use crate::tensors::{RowSource, TensorSource};
use crate::values::Values;

/// Tensors of another source, until a function returns true: from then on, reading is an error.
pub struct CancellableTensors<'a, S> {
    source: &'a S,
    is_cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl<'a, S: TensorSource> CancellableTensors<'a, S> {
    /// The tensors of `source`, until `is_cancelled` returns true.
    pub fn new(source: &'a S, is_cancelled: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { source, is_cancelled }
    }

    fn check(&self) -> Result<(), Error> {
        if (self.is_cancelled)() { Err(Error::Cancelled) } else { Ok(()) }
    }
}

impl<S: TensorSource> TensorSource for CancellableTensors<'_, S> {
    fn tensor(&self, path: &str, shape: &[usize], float: FloatType) -> Result<Values, Error> {
        self.check()?;
        self.source.tensor(path, shape, float)
    }

    fn rows(&self, path: &str, shape: &[usize]) -> Result<RowSource<'_>, Error> {
        self.check()?;
        self.source.rows(path, shape)
    }

    fn quantized(&self, path: &str, shape: &[usize], format: PackedFormat) -> Result<Option<QuantizedRows<'_>>, Error> {
        self.check()?;
        self.source.quantized(path, shape, format)
    }

    fn release(&self, path: &str) {
        self.source.release(path);
    }
}
