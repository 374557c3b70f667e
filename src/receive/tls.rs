//! TLS on our listeners: who we are, and whose certificates we ask for.
//!
//! Both HTTP/2 and HTTP/1.1 are offered (ALPN); a caller that asks for neither is still served, since
//! what it says tells which it speaks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::follow::{File, Followed, Reading};

/// The files TLS is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our certificate and what leads to its issuer (PEM).
    pub cert: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
    /// Callers must show a certificate issued by one of these (PEM): mutual TLS.
    pub client_ca: Option<PathBuf>,
}

/// What connections are accepted with, read again when the files change.
///
/// # Errors
/// In words, naming the setting and the file.
pub fn acceptor(files: TlsFiles) -> Result<Followed<ServerConfig>, String> {
    Followed::new(Box::new(move || {
        let seen = [&files.cert, &files.key].into_iter().chain(&files.client_ca);
        // Before reading: what changes meanwhile is seen as changed.
        let seen = seen.cloned().map(File::now).collect();
        Reading { files: seen, value: read(&files).map(Some) }
    }))
}

fn read(files: &TlsFiles) -> Result<ServerConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let setting = "receive.tls.client_ca_file";
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path, setting)? {
                roots.add(certificate).map_err(|error| unusable(setting, path, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| unusable(setting, path, &error))?)
        }
    };
    let chain = certificates(&files.cert, "receive.tls.cert_file")?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| unusable("receive.tls.key_file", &files.key, &error))?;
    let mut config = builder.with_single_cert(chain, key).map_err(|error| {
        let (cert, key) = (files.cert.display(), files.key.display());
        format!("receive.tls.cert_file `{cert}` and key_file `{key}` do not go together: {error}")
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path, setting: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unusable(setting, path, &error))?;
    if found.is_empty() { Err(unusable(setting, path, &"it holds no certificate")) } else { Ok(found) }
}

fn unusable(setting: &str, path: &Path, error: &dyn std::fmt::Display) -> String {
    let path = path.display();
    format!("{setting} `{path}` can not be used: {error}; it must be a PEM file this process may read")
}
