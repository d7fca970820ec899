//! The bytes of quantized matrices in a file. They are written out, since a writer and a reader that change together
//! would make existing files unreadable.

use super::write;
use crate::encoding::Encoding;
use crate::tensor_specs::{TensorKind, TensorSpec};
use crate::{Error, RowSource, TensorSource, Values, Weights};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use smolvlm_config::FloatType;
use smolvlm_kernels::PackedFormat;

const NAME: &str = "model.text_model.matrix.weight";
const SCALE: &str = "model.text_model.matrix.weight_scale";

/// The rows of a matrix.
struct Rows<'a>(&'a [Vec<f32>]);

impl TensorSource for Rows<'_> {
    fn tensor(&self, path: &str, _: &[usize], _: FloatType) -> Result<Values, Error> {
        Err(Error::UnknownParameter(path.to_owned()))
    }

    fn rows(&self, _: &str, _: &[usize]) -> Result<RowSource<'_>, Error> {
        Ok(Box::new(move |row: usize, out: &mut [f32]| out.copy_from_slice(&self.0[row])))
    }
}

/// A file with one matrix of the text model.
fn file(rows: &[Vec<f32>], format: PackedFormat) -> Vec<u8> {
    let spec = TensorSpec {
        name: NAME.to_owned(),
        module_path: "text.matrix.weight".to_owned(),
        shape: vec![rows.len(), rows[0].len()],
        kind: TensorKind::Weight,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write(&[spec], &Rows(rows), format, &path).unwrap();
    std::fs::read(path).unwrap()
}

fn check_stored(file: &[u8], name: &str, dtype: Dtype, shape: &[usize], bytes: &[u8]) {
    let tensors = SafeTensors::deserialize(file).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    assert_eq!((tensor.dtype(), tensor.shape(), tensor.data()), (dtype, shape, bytes), "{name}");
}

/// The rows of the matrix, read from a file.
fn decoded(file: Vec<u8>, encoding: Encoding, outputs: usize, inputs: usize) -> Vec<Vec<f32>> {
    let weights = Weights::from_bytes(file).unwrap();
    assert_eq!(Encoding::of(&weights, NAME, &[outputs, inputs]), Some(encoding));
    let row = |index: usize| {
        let mut out = vec![0.0; inputs];
        encoding.read_row(weights.bytes(NAME), weights.bytes(SCALE), index, &mut out);
        out
    };
    (0..outputs).map(row).collect()
}

#[test]
fn bytes_of_8_bit_matrices_do_not_change() {
    // Rows of the Hadamard matrix times 8: their transforms have one value, 127 times a scale of 1/2 and of 2. Six more
    // inputs are not a whole group and are not transformed.
    let first = (0..64).map(|input| if input % 2 == 0 { 63.5 / 8.0 } else { -63.5 / 8.0 }).chain([0.0; 6]).collect();
    let second = std::iter::repeat_n(-254.0 / 8.0, 64).chain([127.0, -1.0, 2.0, 0.0, 0.0, 5.0]).collect();
    let rows = [first, second];
    let file = file(&rows, PackedFormat::Q8);
    let mut codes = vec![0; 256];
    (codes[1], codes[128]) = (127, 0x81);
    codes[192..198].copy_from_slice(&[127, 0xff, 2, 0, 0, 5]);
    check_stored(&file, NAME, Dtype::I8, &[2, 128], &codes);
    check_stored(&file, SCALE, Dtype::BF16, &[2, 2], &[0, 0x3f, 0, 0, 0, 0x40, 0x80, 0x3f]);
    assert_eq!(decoded(file, Encoding::Q8, 2, 70), rows);
}

#[test]
fn bytes_of_4_bit_matrices_do_not_change() {
    // A group with every code twice, a scale of 1/2 and a minimum of -4; one of two weights with a scale of 2, padded
    // with the last.
    let mut row: Vec<f32> = (0..32_u8).map(|index| (f32::from(index % 16) - 8.0) / 2.0).collect();
    row.extend([-16.0, 14.0]);
    let file = file(std::slice::from_ref(&row), PackedFormat::Q4);
    let pairs: [u8; 8] = [0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe];
    let mut codes = [pairs, pairs, [0xff; 8], [0xff; 8]].concat();
    codes[16] = 0xf0;
    check_stored(&file, NAME, Dtype::U8, &[1, 32], &codes);
    check_stored(&file, SCALE, Dtype::BF16, &[1, 2, 2], &[0, 0x3f, 0x80, 0xc0, 0, 0x40, 0x80, 0xc1]);
    assert_eq!(decoded(file, Encoding::Q4, 1, 34), [row]);
}
