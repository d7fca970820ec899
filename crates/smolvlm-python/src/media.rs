//! Images and videos from Python.

use crate::error::of_kind;
use numpy::PyReadonlyArray3;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use smolvlm::{ErrorKind, FrameList, ImageSource, Ratio, Rgb, VideoSource};
use std::path::PathBuf;

/// A video as a list of frames.
#[pyclass(frozen, module = "smolvlm._native")]
pub struct Frames(FrameList);

#[pymethods]
impl Frames {
    #[new]
    #[pyo3(signature = (images, fps=None, duration=None))]
    fn new(images: Vec<Bound<'_, PyAny>>, fps: Option<f64>, duration: Option<f64>) -> PyResult<Self> {
        let mut list = FrameList::new(images.iter().map(image).collect::<PyResult<Vec<_>>>()?);
        list.fps = fps.map(|fps| ratio("fps", fps)).transpose()?;
        list.duration = duration.map(|seconds| ratio("duration", seconds)).transpose()?;
        Ok(Self(list))
    }
}

/// A number that is not negative.
pub fn ratio(name: &str, value: f64) -> PyResult<Ratio> {
    Ratio::from_f64(value)
        .ok_or_else(|| of_kind(ErrorKind::Input, &format!("{name} is {value}, but must be a number above 0")))
}

/// An image: a path or URL, an encoded file, or pixels `[height, width, 3]`.
pub fn image(value: &Bound<'_, PyAny>) -> PyResult<ImageSource> {
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(text.to_string().into());
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().into());
    }
    if let Ok(pixels) = value.extract::<PyReadonlyArray3<'_, u8>>() {
        return rgb(&pixels).map(ImageSource::from);
    }
    value.extract::<PathBuf>().map(ImageSource::from).map_err(|_| {
        unsupported(value, "an image", "a path, a URL, bytes, or an array of uint8 with the shape (height, width, 3)")
    })
}

/// A video: a path or URL, an encoded file, or frames.
pub fn video(value: &Bound<'_, PyAny>) -> PyResult<VideoSource> {
    if let Ok(frames) = value.cast::<Frames>() {
        return Ok(frames.get().0.clone().into());
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(text.to_string().into());
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().into());
    }
    value
        .extract::<PathBuf>()
        .map(VideoSource::from)
        .map_err(|_| unsupported(value, "a video", "a path, a URL, bytes, or a list of frames"))
}

fn rgb(pixels: &PyReadonlyArray3<'_, u8>) -> PyResult<Rgb> {
    let array = pixels.as_array();
    let (height, width, channels) = array.dim();
    let (Ok(rows), Ok(columns), 3) = (u32::try_from(height), u32::try_from(width), channels) else {
        let text = format!("the shape of a picture is ({height}, {width}, {channels}), not (height, width, 3)");
        return Err(of_kind(ErrorKind::Input, &text));
    };
    Rgb::new(columns, rows, array.iter().copied().collect()).map_err(|error| of_kind(ErrorKind::Input, &error))
}

fn unsupported(value: &Bound<'_, PyAny>, what: &str, legal: &str) -> PyErr {
    let name = value.get_type().name().map_or_else(|_| "an object".to_owned(), |name| name.to_string());
    pyo3::exceptions::PyTypeError::new_err(format!("{name} is not {what}: use {legal}"))
}
