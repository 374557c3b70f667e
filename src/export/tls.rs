//! TLS towards an upstream: whom we trust, who we are, and re-reading both when the files change.
//!
//! Certificates are rotated under running processes. Every new connection looks at the files' times and
//! reads them again if they moved; a file that can not be read then keeps the last good ones in use.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::Tls;

/// The TLS side of one upstream.
#[derive(Debug)]
pub(super) struct Secrets {
    tls: Tls,
    alpn: &'static [&'static [u8]],
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    config: Arc<ClientConfig>,
    changed: Stamp,
}

/// When each file was last changed.
type Stamp = [Option<SystemTime>; 3];

impl Secrets {
    /// # Errors
    /// In words, naming the file: it can not be read, holds no certificate or key, or key and
    /// certificate do not match.
    pub fn new(tls: Tls, alpn: &'static [&'static [u8]]) -> Result<Self, String> {
        let changed = stamp(&tls);
        let config = Arc::new(build(&tls, alpn)?);
        Ok(Self { tls, alpn, state: Mutex::new(State { config, changed }) })
    }

    /// The configuration to connect with, read again if its files changed.
    pub fn current(&self) -> Arc<ClientConfig> {
        let now = stamp(&self.tls);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now != state.changed {
            // A half-written file changes again: its time is kept either way, so it is tried once each.
            state.changed = now;
            match build(&self.tls, self.alpn) {
                Ok(config) => state.config = Arc::new(config),
                Err(what) => {
                    tracing::warn!("certificates changed but can not be used, keeping the last: {what}")
                }
            }
        }
        state.config.clone()
    }
}

/// What an operator can do about a failed handshake; empty when that is anybody's guess.
pub(super) fn hint(error: &std::io::Error) -> &'static str {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error};
    match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. })) => {
            "; the upstream must renew its certificate, unless this machine's clock is wrong"
        }
        Some(Error::InvalidCertificate(Bad::NotValidYet | Bad::NotValidYetContext { .. })) => {
            "; is this machine's clock right?"
        }
        Some(Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature)) => {
            "; set `tls.ca_file` to the authority that signed the upstream's certificate"
        }
        Some(Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. })) => {
            "; name the upstream in `endpoint` as its certificate does"
        }
        Some(Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateExpired
            | Alert::CertificateUnknown,
        )) => "; the upstream does not accept our certificate: check `tls.cert_file`",
        Some(Error::InvalidMessage(_)) => "; does the upstream speak TLS on this port?",
        _ => "",
    }
}

fn stamp(tls: &Tls) -> Stamp {
    [&tls.ca_file, &tls.cert_file, &tls.key_file]
        .map(|path| path.as_ref().and_then(|path| std::fs::metadata(path).ok()?.modified().ok()))
}

fn build(tls: &Tls, alpn: &[&[u8]]) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if tls.insecure_skip_verify {
        let trust = AnyServer(provider.signature_verification_algorithms);
        builder.dangerous().with_custom_certificate_verifier(Arc::new(trust))
    } else {
        builder.with_root_certificates(roots(tls.ca_file.as_deref())?)
    };
    let mut config = match (&tls.cert_file, &tls.key_file) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let chain = certificates(cert, "tls.cert_file")?;
            let key_der =
                PrivateKeyDer::from_pem_file(key).map_err(|error| unusable("tls.key_file", key, &error))?;
            builder.with_client_auth_cert(chain, key_der).map_err(|error| {
                let (cert, key) = (cert.display(), key.display());
                format!("tls.cert_file `{cert}` and tls.key_file `{key}` do not go together: {error}")
            })?
        }
        (Some(_), None) => return Err("tls.cert_file needs a tls.key_file beside it".to_owned()),
        (None, Some(_)) => return Err("tls.key_file needs a tls.cert_file beside it".to_owned()),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            for certificate in certificates(path, "tls.ca_file")? {
                roots.add(certificate).map_err(|error| unusable("tls.ca_file", path, &error))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(
                    "this system has no root certificates; install `ca-certificates` or set tls.ca_file"
                        .to_owned(),
                );
            }
        }
    }
    Ok(roots)
}

fn certificates(path: &Path, setting: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read.map_err(|error| unusable(setting, path, &error))? {
        none if none.is_empty() => {
            Err(format!("{setting} `{}` holds no certificate; it must be PEM", path.display()))
        }
        some => Ok(some),
    }
}

fn unusable(setting: &str, path: &Path, error: &dyn std::fmt::Display) -> String {
    format!(
        "{setting} `{}` can not be used: {error}; it must be a PEM file this process may read",
        path.display()
    )
}

/// `insecure_skip_verify`: whoever answers is believed to be the upstream. Signatures are still checked,
/// so the handshake is at least with whoever holds that certificate.
#[derive(Debug)]
struct AnyServer(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
