//! The tensors that a golden case expects.

use crate::Case;
use safetensors::SafeTensors;
use safetensors::tensor::Dtype as Stored;
use smolvlm::model::HostTensor;

/// The tensors of a golden case.
pub struct Golden {
    bytes: Vec<u8>,
    name: String,
}

impl Golden {
    /// Reads the tensors of a case.
    pub fn new(case: &Case) -> Self {
        Self { bytes: std::fs::read(&case.tensors).unwrap(), name: case.name.clone() }
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap()
    }

    /// Returns whether there is a tensor of that name.
    pub fn has(&self, name: &str) -> bool {
        self.file().names().contains(&name)
    }

    /// Returns an f32 tensor.
    pub fn floats(&self, name: &str) -> HostTensor {
        let file = self.file();
        let view = file.tensor(name).unwrap();
        assert_eq!(view.dtype(), Stored::F32, "{name}");
        let data = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        HostTensor { shape: view.shape().to_vec(), data }
    }

    /// Returns the pixel values of the stored tiles and the edge of a tile in pixels; none without images.
    pub fn pixels(&self) -> Option<(Vec<f32>, usize)> {
        let (shape, levels) = self.levels("pixels");
        let pixels = levels.iter().map(|&level| (f32::from(level) - 127.5) / 127.5);
        (!levels.is_empty()).then(|| (pixels.collect(), shape[3]))
    }

    /// Returns the image features of the stored tiles, `[tiles * tokens, width]`; the golden has the features of all
    /// tiles.
    pub fn features(&self) -> HostTensor {
        let all = self.floats("connector_out");
        let (tokens, width) = (all.shape[1], all.shape[2]);
        let chosen = self.integers("vision_tiles");
        let chosen: Vec<usize> = chosen.iter().flat_map(|tile| (0..tokens).map(move |i| tile * tokens + i)).collect();
        tensor_rows(HostTensor { shape: vec![all.shape[0] * tokens, width], data: all.data }, &chosen)
    }

    /// Returns an i64 tensor of indices.
    pub fn integers(&self, name: &str) -> Vec<usize> {
        let file = self.file();
        let view = file.tensor(name).unwrap();
        assert_eq!(view.dtype(), Stored::I64, "{name}");
        view.data().as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as usize).collect()
    }

    fn levels(&self, name: &str) -> (Vec<usize>, Vec<u8>) {
        let file = self.file();
        let view = file.tensor(name).unwrap();
        (view.shape().to_vec(), view.data().to_vec())
    }

    /// Compares a stage with its golden; the error is relative to the golden's largest absolute value.
    pub fn assert_close(&self, tolerance: f32, stage: &str, found: &HostTensor) {
        let wanted = self.floats(stage);
        assert_eq!(found.shape, wanted.shape, "{} {stage}", self.name);
        let error = relative_error(&found.data, &wanted.data);
        // Source of the table in docs/parity.md, with --no-capture.
        println!("{stage} {error:.1e} {}", self.name);
        assert!(error <= tolerance, "{} {stage}: off by {error} of the largest value", self.name);
    }
}

/// Returns the largest absolute difference, relative to the largest absolute expected value.
pub fn relative_error(found: &[f32], wanted: &[f32]) -> f32 {
    assert_eq!(found.len(), wanted.len());
    let largest = wanted.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    // NaN counts as an infinite error; f32::max would drop it.
    let worst = found.iter().zip(wanted).map(|(a, b)| if a == b { 0.0 } else { (a - b).abs() });
    worst.fold(0.0, |most: f32, error| if error.is_nan() { f32::INFINITY } else { most.max(error) }) / largest
}

/// Selects rows of the last axis by flat index of the preceding axes.
pub fn tensor_rows(tensor: HostTensor, indices: &[usize]) -> HostTensor {
    let width = *tensor.shape.last().unwrap();
    let data = indices.iter().flat_map(|index| tensor.data[index * width..][..width].to_vec()).collect();
    HostTensor { shape: vec![indices.len(), width], data }
}
