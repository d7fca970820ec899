//! The image processor.

use crate::error::of_kind;
use crate::fork::check_threads;
use crate::interrupt::interruptible;
use crate::media;
use numpy::{IntoPyArray, PyArray4, PyArrayMethods};
use pyo3::prelude::*;
use smolvlm::config::ImageProcessorConfig;
use smolvlm::image::{ImageProcessor as Images, Tiles};
use smolvlm::processor::{Error as ProcessorError, Position, ProcessorLimits, load_image};
use smolvlm::{Cancel, Error, ErrorKind, MediaPolicy};

/// Converts images to tiles.
#[pyclass(frozen, module = "smolvlm._native")]
pub struct ImageProcessor(Images);

/// Tiles `[tiles, 3, edge, edge]`, and rows and columns of their grid.
type Image<'py> = (Bound<'py, PyArray4<f32>>, u32, u32);

#[pymethods]
impl ImageProcessor {
    #[new]
    fn new(config: &str) -> PyResult<Self> {
        let config = ImageProcessorConfig::from_json(config).map_err(|error| of_kind(ErrorKind::Config, &error))?;
        Images::new(config).map(Self).map_err(|error| of_kind(ErrorKind::Config, &error))
    }

    /// The configuration as JSON.
    fn config(&self) -> String {
        self.0.config().to_json()
    }

    /// Processes images.
    fn process<'py>(&self, py: Python<'py>, images: Vec<Bound<'py, PyAny>>) -> PyResult<Vec<Image<'py>>> {
        check_threads()?;
        let sources = images.iter().map(media::image).collect::<PyResult<Vec<_>>>()?;
        let (policy, limits, cancel) = (MediaPolicy::default(), ProcessorLimits::default(), Cancel::new());
        let tiles = interruptible(py, &cancel, || {
            let mut tiles = Vec::with_capacity(sources.len());
            for source in &sources {
                if cancel.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                let image = load_image(source, &policy, &limits)?;
                let failed = |source| ProcessorError::Image { at: Position::default(), source };
                tiles.push(self.0.process(&image).map_err(failed)?);
            }
            Ok(tiles)
        })?;
        tiles.into_iter().map(|tiles| arrays(py, tiles)).collect()
    }
}

fn arrays(py: Python<'_>, tiles: Tiles) -> PyResult<Image<'_>> {
    let shape = [tiles.tiles, 3, tiles.edge, tiles.edge];
    Ok((tiles.pixels.into_pyarray(py).reshape(shape)?, tiles.grid.rows, tiles.grid.cols))
}
