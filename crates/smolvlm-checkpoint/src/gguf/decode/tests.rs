use safetensors::SafeTensors;

use super::{GgmlType, decode_row};

/// Blocks of every type and their values, made with the Python package `gguf` (tests/golden/gguf_files.py).
const BLOCKS: &[u8] = include_bytes!("../../../tests/data/gguf/blocks.safetensors");

const TYPES: [GgmlType; 10] = [
    GgmlType::F16,
    GgmlType::Bf16,
    GgmlType::Q4_0,
    GgmlType::Q4_1,
    GgmlType::Q5_0,
    GgmlType::Q5_1,
    GgmlType::Q8_0,
    GgmlType::Q4K,
    GgmlType::Q5K,
    GgmlType::Q6K,
];

#[test]
fn values_equal_those_of_the_python_package() {
    let file = SafeTensors::deserialize(BLOCKS).unwrap();
    for ggml_type in TYPES {
        let (blocks, values) =
            (file.tensor(ggml_type.name()).unwrap(), file.tensor(&format!("{}.values", ggml_type.name())).unwrap());
        let [rows, columns] = *values.shape() else { panic!("{ggml_type:?}") };
        let width = ggml_type.row_bytes(columns);
        assert_eq!(blocks.data().len(), rows * width, "{ggml_type:?}");
        for row in 0..rows {
            let mut out = vec![f32::NAN; columns];
            decode_row(ggml_type, &blocks.data()[row * width..][..width], &mut out);
            let expected = values.data()[row * columns * 4..].as_chunks::<4>().0.iter().map(|v| f32::from_le_bytes(*v));
            for (index, (value, expected)) in out.iter().zip(expected).enumerate() {
                assert_eq!(value.to_bits(), expected.to_bits(), "{ggml_type:?} {row} {index}: {value} {expected}");
            }
        }
    }
}
