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
    /// Those of a case.
    pub fn new(case: &Case) -> Self {
        Self { bytes: std::fs::read(&case.tensors).unwrap(), name: case.name.clone() }
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).unwrap()
    }

    /// Whether there is a tensor of that name.
    pub fn has(&self, name: &str) -> bool {
        self.file().names().contains(&name)
    }

    /// A tensor of floats.
    pub fn floats(&self, name: &str) -> HostTensor {
        let file = self.file();
        let view = file.tensor(name).unwrap();
        assert_eq!(view.dtype(), Stored::F32, "{name}");
        let data = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        HostTensor { shape: view.shape().to_vec(), data }
    }

    /// The pixel values of all tiles, and the edge of a tile; none without images.
    pub fn pixels(&self) -> Option<(Vec<f32>, usize)> {
        let (shape, levels) = self.levels("pixels");
        let pixels = levels.iter().map(|&level| (f32::from(level) - 127.5) / 127.5);
        (!levels.is_empty()).then(|| (pixels.collect(), shape[3]))
    }

    /// Image features of the chosen tiles, which are those that ours are; the golden has those of all.
    pub fn features(&self) -> HostTensor {
        let all = self.floats("connector_out");
        let (tokens, width) = (all.shape[1], all.shape[2]);
        let chosen = self.integers("vision_tiles");
        let chosen: Vec<usize> = chosen.iter().flat_map(|tile| (0..tokens).map(move |i| tile * tokens + i)).collect();
        tensor_rows(HostTensor { shape: vec![all.shape[0] * tokens, width], data: all.data }, &chosen)
    }

    /// A tensor of indices.
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

    /// Compares a stage with its golden; the error is relative to the golden's largest value.
    pub fn assert_close(&self, tolerance: f32, stage: &str, found: &HostTensor) {
        let wanted = self.floats(stage);
        assert_eq!(found.shape, wanted.shape, "{} {stage}", self.name);
        let error = relative_error(&found.data, &wanted.data);
        // With --no-capture this is the table of docs/parity.md.
        println!("{stage} {error:.1e} {}", self.name);
        assert!(error <= tolerance, "{} {stage}: off by {error} of the largest value", self.name);
    }
}

/// The largest difference, relative to the largest value wanted.
pub fn relative_error(found: &[f32], wanted: &[f32]) -> f32 {
    assert_eq!(found.len(), wanted.len());
    let largest = wanted.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    // A value that is no number is an error without end, and must not be lost in a maximum.
    let worst = found.iter().zip(wanted).map(|(a, b)| if a == b { 0.0 } else { (a - b).abs() });
    worst.fold(0.0, |most: f32, error| if error.is_nan() { f32::INFINITY } else { most.max(error) }) / largest
}

/// Rows of the last axis, by flat index of the axes before it.
pub fn tensor_rows(tensor: HostTensor, indices: &[usize]) -> HostTensor {
    let width = *tensor.shape.last().unwrap();
    let data = indices.iter().flat_map(|index| tensor.data[index * width..][..width].to_vec()).collect();
    HostTensor { shape: vec![indices.len(), width], data }
}
