use super::*;

const TEXT: &[u8] = include_bytes!("../../../tests/data/gguf/text.gguf");

fn string(text: &[u8]) -> Vec<u8> {
    [(text.len() as u64).to_le_bytes().as_slice(), text].concat()
}

fn start(version: u32, tensors: u64, entries: u64) -> Vec<u8> {
    let counts = [tensors.to_le_bytes(), entries.to_le_bytes()].concat();
    [b"GGUF".as_slice(), &version.to_le_bytes(), &counts].concat()
}

/// A metadata entry: key, number of the type, bytes of the value.
fn entry(key: &str, value_type: u32, value: &[u8]) -> Vec<u8> {
    [string(key.as_bytes()).as_slice(), &value_type.to_le_bytes(), value].concat()
}

fn tensor(name: &str, dimensions: &[u64], ggml_type: u32, offset: u64) -> Vec<u8> {
    let mut bytes = string(name.as_bytes());
    bytes.extend((dimensions.len() as u32).to_le_bytes());
    dimensions.iter().for_each(|size| bytes.extend(size.to_le_bytes()));
    bytes.extend(ggml_type.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes
}

/// A file with these tensors and `data` bytes of data.
fn file(tensors: &[Vec<u8>], data: usize) -> Vec<u8> {
    let mut bytes = start(3, tensors.len() as u64, 0);
    bytes.extend(tensors.concat());
    bytes.resize(bytes.len().next_multiple_of(32) + data, 0);
    bytes
}

fn with_entry(value_type: u32, value: &[u8]) -> Vec<u8> {
    [start(3, 0, 1), entry("k", value_type, value)].concat()
}

fn message(bytes: &[u8]) -> String {
    Header::read(bytes).unwrap_err()
}

#[test]
fn metadata_and_tensors_are_found() {
    let header = Header::read(TEXT).unwrap();
    assert_eq!(header.metadata["llama.block_count"], Value::Unsigned(2));
    assert_eq!(header.metadata["llama.rope.freq_base"], Value::Float(100_000.0));
    let Value::Array(tokens) = &header.metadata["tokenizer.ggml.tokens"] else { panic!() };
    assert_eq!(tokens.values(TEXT).count(), 300);
    let Some(Value::Text(range)) = tokens.values(TEXT).nth(1) else { panic!() };
    assert_eq!(&TEXT[range], b"<|im_start|>");
    let embeddings = &header.tensors["token_embd.weight"];
    assert_eq!((embeddings.ggml_type, embeddings.shape.as_slice()), (GgmlType::Q8_0, [300, 32].as_slice()));
    assert_eq!(embeddings.range.len(), 300 * 34);
    assert_eq!(header.tensors.len(), 2 + 2 * 9);
}

#[test]
fn version_2_is_supported() {
    let mut bytes = TEXT.to_vec();
    bytes[4] = 2;
    assert_eq!(Header::read(&bytes).unwrap().tensors.len(), 20);
}

#[test]
fn every_truncation_is_an_error() {
    let end = Header::read(TEXT).unwrap().tensors.values().map(|tensor| tensor.range.end).max().unwrap();
    for length in (0..end).step_by(3) {
        Header::read(&TEXT[..length]).unwrap_err();
    }
    Header::read(&TEXT[..end]).unwrap();
}

#[test]
fn flipped_bytes_never_panic() {
    let header_end = Header::read(TEXT).unwrap().tensors.values().map(|tensor| tensor.range.start).min().unwrap();
    for index in (0..header_end).step_by(5) {
        for value in [0, 0x7f, 0xff] {
            let mut bytes = TEXT.to_vec();
            bytes[index] = value;
            if let Ok(header) = Header::read(&bytes) {
                assert!(header.tensors.values().all(|tensor| tensor.range.end <= bytes.len()));
            }
        }
    }
}

#[test]
fn other_files_have_specific_errors() {
    assert!(message(b"PK\x03\x04............................").contains("does not start with GGUF"));
    assert!(message(b"version https://git-lfs.github.com/spec/v1\n").contains("git lfs pull"));
    assert!(message(&start(1, 0, 0)).contains("version 1"));
    assert!(message(&start(3_u32.swap_bytes(), 0, 0)).contains("big-endian"));
    assert!(message(&start(3, u64::MAX, 0)).contains("tensors; the limit"));
    assert!(message(&start(3, 0, 1 << 40)).contains("entries; the limit"));
}

#[test]
fn invalid_metadata_is_named() {
    let array = |value_type: u32, count: u64| [value_type.to_le_bytes().as_slice(), &count.to_le_bytes()].concat();
    for (bytes, says) in [
        (with_entry(9, &array(9, 1)), "the key k is an array of arrays"),
        (with_entry(9, &array(0, u64::MAX)), "the key k is an array that is longer"),
        (with_entry(9, &array(8, 3)), "the key k is an array that is longer"),
        (with_entry(9, &array(12, 1 << 61)), "the key k is an array that is longer"),
        (with_entry(13, &[]), "the key k has the unknown value type 13"),
        (with_entry(7, &[2]), "the key k is the truth value 2"),
        (with_entry(8, &u64::MAX.to_le_bytes()), "the key k is not complete"),
        (with_entry(10, &[0; 7]), "the key k is not complete"),
        ([start(3, 0, 1), string(b"\xff\n")].concat(), "a metadata key \u{fffd}\\n is not UTF-8"),
        ([start(3, 0, 2), entry("k", 0, &[1]), entry("k", 0, &[1])].concat(), "the key k occurs twice"),
        ([start(3, 0, 1), string(&[b'k'; 70_000])].concat(), "a metadata key has 70000 bytes"),
    ] {
        let message = message(&bytes);
        assert!(message.starts_with(says), "{message}");
    }
    for alignment in [0_u32, 3, 48, 1 << 30] {
        let bytes = [start(3, 0, 1), entry("general.alignment", 4, &alignment.to_le_bytes())].concat();
        assert!(message(&bytes).contains("power of two"));
    }
}

#[test]
fn invalid_tensors_are_named() {
    let one = |dimensions: &[u64], ggml_type, offset| file(&[tensor("t", dimensions, ggml_type, offset)], 128);
    for (bytes, says) in [
        (one(&[], 0, 0), "has 0 dimensions"),
        (one(&[1; 5], 0, 0), "has 5 dimensions"),
        (one(&[0, 4], 0, 0), "zero"),
        (one(&[1 << 40, 1 << 40], 0, 0), "more values"),
        (one(&[1 << 62, 2], 0, 0), "more values"),
        (one(&[33], 2, 0), "rows of 33 values, not a multiple of Q4_0's 32"),
        (one(&[32], 23, 0), "IQ4_XS, which is not supported"),
        (one(&[32], 99, 0), "number 99, which is not supported"),
        (one(&[4], 0, 8), "not a multiple of 32"),
        (one(&[33], 0, 0), "truncated"),
        (one(&[1], 0, u64::MAX - 31), "truncated"),
        (file(&[tensor("a", &[16], 0, 0), tensor("t", &[4], 0, 32)], 128), "overlaps"),
        (file(&[tensor("t", &[4], 0, 0), tensor("t", &[4], 0, 32)], 128), "occurs twice"),
    ] {
        let message = message(&bytes);
        assert!(message.starts_with("tensor t ") && message.contains(says), "{message}");
    }
    let long = message(&file(&[tensor(&"n".repeat(300), &[4], 0, 0)], 128));
    assert_eq!(long, "a tensor's name has 300 bytes, the limit is 255");
}

/// As many entries as a header may have, of the smallest size and with arrays of empty strings.
#[test]
fn large_headers_are_read_quickly() {
    let mut bytes = start(3, 0, 1);
    bytes.extend(string(b"k"));
    bytes.extend(9_u32.to_le_bytes());
    bytes.extend(8_u32.to_le_bytes());
    bytes.extend((MAX_HEADER as u64).to_le_bytes());
    bytes.resize(64 << 20, 0);
    let begin = std::time::Instant::now();
    assert!(message(&bytes).contains("longer than the file"));
    let count = (MAX_HEADER as u64 - 100) / 8;
    bytes[37 + 8..][..8].copy_from_slice(&count.to_le_bytes());
    let _ = Header::read(&bytes);
    let limit = if cfg!(debug_assertions) { 2.0 } else { 0.1 };
    assert!(begin.elapsed().as_secs_f64() < limit, "{:?}", begin.elapsed());
}
