//! Errors as Python exceptions.

use pyo3::exceptions::{PyException, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};
use smolvlm::ErrorKind;

/// The exception classes, each of which is also one of Python's own.
struct Classes {
    input: Py<PyType>,
    limit: Py<PyType>,
    config: Py<PyType>,
    weights: Py<PyType>,
    device: Py<PyType>,
    file: Py<PyType>,
    cancelled: Py<PyType>,
    internal: Py<PyType>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

/// Adds the exception classes to the module.
pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let class = |name: &str, documentation: &str, bases: &[&Bound<'_, PyType>]| -> PyResult<Py<PyType>> {
        let namespace = PyDict::new(py);
        namespace.set_item("__module__", "smolvlm")?;
        namespace.set_item("__doc__", documentation)?;
        // Several bases need Python's own `type`.
        let class = py.get_type::<PyType>().call1((name, PyTuple::new(py, bases)?, namespace))?;
        module.add(name, &class)?;
        Ok(class.cast_into::<PyType>()?.unbind())
    };
    let base = class(
        "Error",
        "Base class of this package's errors; each is also one of Python's own classes of errors.",
        &[&py.get_type::<PyException>()],
    )?;
    let base = base.bind(py);
    let (value, runtime, os) =
        (py.get_type::<PyValueError>(), py.get_type::<PyRuntimeError>(), py.get_type::<PyOSError>());
    let classes = Classes {
        input: class("InputError", "The request is wrong: its media, conversation or parameters.", &[base, &value])?,
        limit: class(
            "LimitError",
            "The request is larger than a limit: too many tokens, tiles or bytes.",
            &[base, &value],
        )?,
        config: class(
            "ConfigError",
            "The checkpoint's configuration or an option is wrong or not supported.",
            &[base, &value],
        )?,
        weights: class(
            "WeightsError",
            "The checkpoint's weights are missing, damaged or do not fit its configuration.",
            &[base, &value],
        )?,
        device: class(
            "DeviceError",
            "The device is not available, failed, or has too little memory.",
            &[base, &runtime],
        )?,
        file: class("FileError", "A file or address cannot be read or written.", &[base, &os])?,
        cancelled: class("Cancelled", "The work was cancelled.", &[base])?,
        internal: class("InternalError", "A bug of this package: please report it.", &[base, &runtime])?,
    };
    // Set only once: the module is initialized once per process.
    let _ = CLASSES.set(py, classes);
    Ok(())
}

/// The exception of an error of any crate.
pub fn exception(error: impl Into<smolvlm::Error>) -> PyErr {
    let error = error.into();
    of_kind(error.kind(), &error)
}

/// An exception of the given kind.
pub fn of_kind(kind: ErrorKind, error: &impl ToString) -> PyErr {
    let text = error.to_string();
    Python::attach(|py| {
        let Some(classes) = CLASSES.get(py) else { return PyRuntimeError::new_err(text) };
        let class = match kind {
            ErrorKind::Input => &classes.input,
            ErrorKind::Limit => &classes.limit,
            ErrorKind::Config => &classes.config,
            ErrorKind::Weights => &classes.weights,
            ErrorKind::Device => &classes.device,
            ErrorKind::Io => &classes.file,
            ErrorKind::Cancelled => &classes.cancelled,
            _ => &classes.internal,
        };
        PyErr::from_type(class.bind(py).clone(), text)
    })
}

/// The exception of invalid JSON, which only a bug of the Python part produces.
pub fn invalid_json(error: &serde_json::Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}
