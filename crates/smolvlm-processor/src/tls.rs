//! Root certificates for `https:` servers.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Maximum size of a certificate file in bytes. The bundles of operating systems have about 250 kB.
const MAX_BYTES: u64 = 16 << 20;

/// Maximum number of files read from a certificate folder.
const MAX_FILES: usize = 4096;

/// The TLS configuration of the environment: the certificates of `SSL_CERT_FILE` and `SSL_CERT_DIR` if these are set,
/// as in OpenSSL and curl, otherwise Mozilla's.
pub(crate) fn config() -> Result<TlsConfig, String> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let (file, folder) = (variable("SSL_CERT_FILE"), variable("SSL_CERT_DIR"));
    let builder = TlsConfig::builder();
    if file.is_none() && folder.is_none() {
        return Ok(builder.build());
    }
    let mut roots = Vec::new();
    if let Some(file) = file {
        let found = certificates(Path::new(&file)).map_err(|reason| format!("SSL_CERT_FILE: {reason}"))?;
        roots.extend(found);
    }
    for folder in folder.iter().flat_map(std::env::split_paths) {
        // The folder may contain files other than certificates.
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten().take(MAX_FILES);
        roots.extend(files.filter_map(|entry| certificates(&entry.path()).ok()).flatten());
    }
    if roots.is_empty() {
        return Err("SSL_CERT_FILE and SSL_CERT_DIR name no certificate".to_owned());
    }
    Ok(builder.root_certs(RootCerts::new_with_certs(&roots)).build())
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let mut pem = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_BYTES).read_to_end(&mut pem).map_err(|error| error.to_string())?;
    let certificates = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
        Ok(_) => None,
        Err(error) => Some(Err(error.to_string())),
    });
    certificates.collect()
}
