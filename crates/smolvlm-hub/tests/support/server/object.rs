//! Ids of files on the hub: git object ids and SHA-256.

pub(super) fn is_large(file: &str) -> bool {
    file.ends_with(".safetensors")
}

/// The Git LFS pointer of a large file.
pub(super) fn pointer(bytes: &[u8]) -> Vec<u8> {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n", sha256(bytes), bytes.len())
        .into_bytes()
}

/// The id of a file's git object: of the file itself, or of its LFS pointer.
pub fn object_id(file: &str, bytes: &[u8]) -> String {
    if is_large(file) { git_id(&pointer(bytes)) } else { git_id(bytes) }
}

pub(super) fn git_id(bytes: &[u8]) -> String {
    use sha1::Digest;
    hex(&sha1::Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
