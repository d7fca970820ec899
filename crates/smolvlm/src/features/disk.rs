//! The feature cache on disk: tensors to and from files.

use super::Key;
use super::fingerprint::Fingerprint;
use super::folder::Folder;
use super::options::FeatureCacheOptions;
use super::record::Record;
use super::writer::{Writer, WriterThread};
use crate::Error;
use burn::tensor::{DType, Device, Tensor, TensorData};
use smolvlm_model::HostTensor;

/// A folder that can be used as a cache.
pub(crate) struct CacheFolder<'a> {
    folder: Folder,
    options: &'a FeatureCacheOptions,
}

impl<'a> CacheFolder<'a> {
    /// Opens the folder, creating it if it does not exist.
    ///
    /// # Errors
    ///
    /// [`Error::FeatureCache`] when it cannot be created or written.
    pub(crate) fn open(options: &'a FeatureCacheOptions) -> Result<Self, Error> {
        let failed = |source| Error::FeatureCache { folder: options.folder.clone(), source };
        Ok(Self { folder: Folder::open(&options.folder).map_err(failed)?, options })
    }

    /// The cache of the model with this fingerprint, whose features of a tile have the shape `[tokens per tile,
    /// hidden]` and are tensors of this type on this device.
    ///
    /// # Errors
    ///
    /// [`Error::Threads`] when the thread that writes cannot be started.
    pub(crate) fn with_model(
        self,
        fingerprint: Fingerprint,
        shape: [usize; 2],
        (device, dtype): (Device, DType),
    ) -> Result<DiskCache, Error> {
        let Self { folder, options } = self;
        let record = Record::new(fingerprint, shape);
        let writer = Writer::new(folder.clone(), record.clone(), options.max_bytes);
        let writer = WriterThread::start(writer, options.warn.clone());
        let writer = writer.map_err(|error| Error::Threads { threads: 1, message: error.to_string() })?;
        Ok(DiskCache { folder, record, shape, device, dtype, writer })
    }
}

/// Tile features of one model in a folder. Files are read by the thread that prepares a request, and written by a
/// thread of their own.
#[derive(Debug)]
pub(crate) struct DiskCache {
    folder: Folder,
    record: Record,
    shape: [usize; 2],
    device: Device,
    dtype: DType,
    writer: WriterThread,
}

impl DiskCache {
    /// The features of a tile. A damaged file is deleted.
    pub(super) fn read(&self, key: &Key) -> Option<Tensor<2>> {
        let path = self.folder.file(self.record.fingerprint(), key);
        let bytes = self.folder.read(&path, self.record.len())?;
        let Some(values) = self.record.decode(key, &bytes) else {
            self.folder.delete(&path);
            return None;
        };
        let data = TensorData::new(values, self.shape);
        Some(Tensor::<2>::from_data(data, (&self.device, DType::F32)).cast(self.dtype))
    }

    /// Writes the features of a tile, soon.
    pub(super) fn write(&self, key: Key, features: &Tensor<2>) {
        // If the device has failed, the request reports it.
        if let Ok(values) = HostTensor::read(features.clone()) {
            self.writer.write(key, values.data);
        }
    }
}
