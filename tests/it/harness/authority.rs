//! Certificates for a test: an authority of its own, what it vouches for, and callers that trust it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An authority, its files in a directory.
pub struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { directory, issuer: Issuer::new(params, key) }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a directory with `tls.crt` and `tls.key` for `localhost`, as a mounted secret has them.
    pub fn issue(&self, directory: &str) {
        self.issue_for("localhost", directory);
    }

    /// The same for another name.
    pub fn issue_for(&self, name: &str, directory: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::create_dir_all(self.file(directory)).unwrap();
        std::fs::write(self.file(directory).join("tls.crt"), certificate.pem()).unwrap();
        std::fs::write(self.file(directory).join("tls.key"), key.serialize_pem()).unwrap();
    }

    /// Points `link` at a directory, in one step, as a mounted secret changes.
    pub fn swap(&self, link: &str, directory: &str) {
        let next = self.file("next");
        std::os::unix::fs::symlink(self.file(directory), &next).unwrap();
        std::fs::rename(next, self.file(link)).unwrap();
    }

    /// `receive.tls` with the certificate behind `link`.
    pub fn settings(&self, link: &str, more: &str) -> String {
        let (cert, key) = (self.file(link).join("tls.crt"), self.file(link).join("tls.key"));
        format!("tls: {{cert_file: {}, key_file: {}{more}}}", cert.display(), key.display())
    }

    /// Shakes hands, trusting this authority and showing the certificate in `own`, if named.
    pub async fn connect(
        &self,
        address: SocketAddr,
        alpn: &[&str],
        own: Option<PathBuf>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.file("ca.pem")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = vec![CertificateDer::from_pem_file(own.join("tls.crt")).unwrap()];
                let key = PrivateKeyDer::from_pem_file(own.join("tls.key")).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let socket = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, socket).await
    }

    /// An HTTP/2 connection under TLS.
    pub async fn http2(&self, address: SocketAddr, own: Option<PathBuf>) -> SendRequest<Full<Bytes>> {
        let socket = self.connect(address, &["h2"], own).await.unwrap();
        assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let io = TokioIo::new(socket);
        let (sender, driver) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(driver);
        sender
    }
}

/// The certificate the other side showed.
pub fn shown(socket: &TlsStream<TcpStream>) -> Vec<u8> {
    socket.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}
