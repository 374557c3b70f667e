//! TLS: whom we trust, who we are, and what is said when the files are wrong.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{Uri, Version};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::server::{Server, grpc_ok, http};
use super::{Exporter, Protocol, Settings, Tls, many_pieces, settings};
use crate::export::dial::Dialer;
use crate::export::names::Resolver;
use crate::export::target::Target;
use crate::export::tls::Secrets;

/// An authority, its files in a directory.
struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { dir, issuer: Issuer::new(params, key) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes `<name>.pem` and `<name>.key` for a name it vouches for.
    fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        self.issue_until(name, 4096)
    }

    /// As [`Authority::issue`]; good until the end of a year.
    fn issue_until(&self, name: &str, year: i32) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (cert_file, key_file) = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")));
        std::fs::write(&cert_file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        (cert_file, key_file)
    }

    /// What a server of this authority presents; with `clients`, it asks callers for a certificate.
    fn acceptor(&self, clients: bool, alpn: &[&str]) -> TlsAcceptor {
        self.acceptor_with(self.issue("localhost"), clients, alpn)
    }

    fn acceptor_with(&self, (cert, key): (PathBuf, PathBuf), clients: bool, alpn: &[&str]) -> TlsAcceptor {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = if clients {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(self.file("ca.pem")).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
        let mut config = builder.with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap()).unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

async fn upstream(acceptor: TlsAcceptor) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Server::behind(listener, Some(acceptor), |_, seen| match seen.headers["content-type"].as_bytes() {
        b"application/grpc" => grpc_ok(),
        _ => http(200, &[], ""),
    })
}

fn over_tls(port: u16, tls: Tls) -> Settings {
    let endpoint = Uri::try_from(format!("https://localhost:{port}")).unwrap();
    let mut settings = Settings { endpoint, tls, ..settings(port) };
    settings.retry.give_up = Duration::from_millis(300);
    settings
}

fn trusting(ca: &Authority) -> Tls {
    Tls { ca_file: Some(ca.file("ca.pem")), ..Tls::default() }
}

async fn outcome(settings: Settings) -> (String, u64) {
    let mut exporter = Exporter::start(settings);
    exporter.offer(b"x", 1);
    let meters = exporter.meters.clone();
    let words = exporter.finish().await;
    (words, meters.sends.with_label_values(&["traces", "test", "tls"]).get())
}

#[tokio::test]
async fn hc6_a_trusted_upstream_is_spoken_to_in_what_alpn_agrees_on() {
    let ca = Authority::new();
    for (protocol, alpn, version) in [
        (Protocol::Grpc, &["h2"][..], Version::HTTP_2),
        (Protocol::Grpc, &[], Version::HTTP_2),
        (Protocol::HttpProtobuf, &["h2", "http/1.1"], Version::HTTP_2),
        (Protocol::HttpProtobuf, &["http/1.1"], Version::HTTP_11),
        (Protocol::HttpProtobuf, &[], Version::HTTP_11),
    ] {
        let server = upstream(ca.acceptor(false, alpn)).await;
        let settings = Settings { protocol, ..over_tls(server.port, trusting(&ca)) };
        assert_eq!(outcome(settings).await, ("delivered=1".to_owned(), 0), "{protocol:?} {alpn:?}");
        assert_eq!(server.seen()[0].version, version, "{protocol:?} {alpn:?}");
    }
}

#[tokio::test]
async fn hc1_batches_of_many_pieces_arrive_through_tls() {
    let ca = Authority::new();
    let server = upstream(ca.acceptor(false, &["http/1.1"])).await;
    let settings = Settings { protocol: Protocol::HttpProtobuf, ..over_tls(server.port, trusting(&ca)) };
    let mut exporter = Exporter::start(settings);
    let batch = many_pieces(300, 1);
    exporter.offer_sealed(Arc::default(), batch.clone(), 1);
    assert_eq!(exporter.finish().await, "delivered=1");
    assert!(server.seen()[0].body == batch.to_bytes());
}

#[tokio::test]
async fn f23_a_stranger_is_not_sent_anything_unless_told_to() {
    let (ca, other) = (Authority::new(), Authority::new());
    let server = upstream(ca.acceptor(false, &["h2"])).await;
    let (words, failed) = outcome(over_tls(server.port, trusting(&other))).await;
    assert_eq!(words, "lost.gave_up=1");
    assert!(failed > 0);
    assert!(server.seen().is_empty());

    let believing = Tls { insecure_skip_verify: true, ..Tls::default() };
    assert_eq!(outcome(over_tls(server.port, believing)).await.0, "delivered=1");
}

#[tokio::test]
async fn a_client_certificate_opens_what_asks_for_one() {
    let ca = Authority::new();
    let server = upstream(ca.acceptor(true, &["h2"])).await;
    assert_eq!(outcome(over_tls(server.port, trusting(&ca))).await.0, "lost.gave_up=1");
    assert!(server.seen().is_empty());

    let (cert, key) = ca.issue("client");
    let tls = Tls { cert_file: Some(cert), key_file: Some(key), ..trusting(&ca) };
    assert_eq!(outcome(over_tls(server.port, tls)).await.0, "delivered=1");
}

#[tokio::test]
async fn f23_a_rotated_authority_is_believed_at_the_next_connection() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = upstream(new.acceptor(false, &["h2"])).await;
    let mut settings = over_tls(server.port, trusting(&old));
    settings.retry.give_up = Duration::from_secs(20);
    let mut exporter = Exporter::start(settings);
    exporter.offer(b"x", 1);
    while exporter.sends("tls") == 0 {
        tokio::task::yield_now().await;
    }
    std::fs::copy(new.file("ca.pem"), old.file("ca.pem")).unwrap();
    assert_eq!(exporter.finish().await, "delivered=1");
}

#[tokio::test]
async fn files_that_can_not_be_used_are_named() {
    let ca = Authority::new();
    let (cert, key) = ca.issue("a");
    let (_, other_key) = ca.issue("b");
    let text = ca.file("text");
    std::fs::write(&text, "no certificate").unwrap();
    let check = |tls: Tls, path: Option<&Path>, hint: &str| {
        let meters = Arc::new(crate::telemetry::Meters::new());
        let (outbox, clock) = (crate::queue::Outbox::new(1, 1), crate::model::Clock::new());
        let inner = super::Inner { outbox, meters, clock };
        let error = super::start(over_tls(1, tls), inner, Default::default()).unwrap_err().to_string();
        let path = path.map(|path| path.display().to_string()).unwrap_or_default();
        assert!(error.starts_with("upstream `test`: ") && error.contains(&path), "{error}");
        assert!(error.contains(hint), "{error}");
    };
    let missing = ca.file("missing");
    let tls = |ca_file: &Path| Tls { ca_file: Some(ca_file.to_owned()), ..Tls::default() };
    check(tls(&missing), Some(&missing), "tls.ca_file");
    check(tls(&text), Some(&text), "holds no certificate");
    let pair = |cert: Option<&Path>, key: Option<&Path>| Tls {
        cert_file: cert.map(Path::to_owned),
        key_file: key.map(Path::to_owned),
        ..trusting(&ca)
    };
    check(pair(Some(&cert), None), None, "needs a tls.key_file");
    check(pair(None, Some(&key)), None, "needs a tls.cert_file");
    check(pair(Some(&cert), Some(&text)), Some(&text), "tls.key_file");
    check(pair(Some(&cert), Some(&other_key)), Some(&other_key), "do not go together");
}

/// What a first connection says that can not be made.
async fn complaint(settings: &Settings) -> String {
    let target = Target::new(settings).unwrap();
    let dialer = Dialer::new(settings, &target, Resolver::system()).unwrap();
    dialer.dial::<super::super::body::Whole>().await.expect_err("it connects").to_string()
}

#[tokio::test]
async fn f23_a_certificate_that_can_not_be_trusted_is_explained() {
    let (ca, other) = (Authority::new(), Authority::new());
    let old = upstream(ca.acceptor_with(ca.issue_until("localhost", 2020), false, &["h2"])).await;
    let said = complaint(&over_tls(old.port, trusting(&ca))).await;
    assert!(said.contains("expired") && said.contains("must renew its certificate"), "{said}");

    let stranger = upstream(other.acceptor(false, &["h2"])).await;
    let said = complaint(&over_tls(stranger.port, trusting(&ca))).await;
    assert!(said.contains("set `tls.ca_file` to the authority that signed"), "{said}");

    let renamed = upstream(ca.acceptor_with(ca.issue("gateway.test"), false, &["h2"])).await;
    let said = complaint(&over_tls(renamed.port, trusting(&ca))).await;
    assert!(said.contains("as its certificate does"), "{said}");

    let plain = Server::start(|_, _| grpc_ok()).await;
    let said = complaint(&over_tls(plain.port, trusting(&ca))).await;
    assert!(said.contains("does the upstream speak TLS on this port?"), "{said}");
}

/// Our certificate is renewed while data flows: calls go on over the old connection, the next one shows the
/// new certificate, and a half-written file in between changes nothing.
#[tokio::test]
async fn f23_our_certificate_is_rotated_without_a_drop() {
    let ca = Authority::new();
    let server = upstream(ca.acceptor(true, &["h2"])).await;
    let (cert, key) = ca.issue("client");
    let tls = Tls { cert_file: Some(cert.clone()), key_file: Some(key.clone()), ..trusting(&ca) };
    let settings = Settings { parallel: 1, ..over_tls(server.port, tls.clone()) };
    let mut exporter = Exporter::start(settings);
    exporter.offer(b"x", 1);
    while exporter.sends("ok") < 1 {
        tokio::task::yield_now().await;
    }
    let secrets = Secrets::new(tls, &[b"h2"]).unwrap();
    let before = secrets.current();
    std::fs::write(&cert, "half a certifi").unwrap();
    assert!(Arc::ptr_eq(&before, &secrets.current()), "the last good one stays in use");
    exporter.offer(b"x", 1);
    let (new_cert, new_key) = ca.issue("renewed");
    std::fs::copy(new_key, &key).unwrap();
    std::fs::copy(new_cert, &cert).unwrap();
    assert!(!Arc::ptr_eq(&before, &secrets.current()), "the new one is used by the next connection");
    server.say_goodbye_after(5);
    (0..20).for_each(|_| exporter.offer(b"x", 1));
    assert_eq!(exporter.finish().await, "delivered=22");
    assert!(server.connections() > 1);
}
