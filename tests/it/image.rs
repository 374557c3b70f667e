//! The image, by a real engine: what a container may not do, and what works in it all the same. It needs root, a
//! container engine and musl: `cargo test --test it image -- --ignored`.
//!
//! The Dockerfile's last stage is built as it stands, over a binary that was built outside: the first stage's base
//! comes from a registry of images, which a closed network does not reach.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use prost::Message;
use spandrel::wire::Signal;
use tokio::time::Instant;

use crate::harness::authority::Authority;
use crate::harness::engine::{Engine, static_program};
use crate::harness::known_set::LABELS;
use crate::harness::read::{Export, assert_labelled, text};
use crate::harness::{Client, PATIENCE, Proxy, Upstream, made, root};

const IMAGE: &str = "spandrel:tested";
/// A name that no file knows: it has to be asked for.
const NAME: &str = "backend.example.test";
/// Where this test answers for that name.
const NAME_SERVER: &str = "127.0.0.77";
/// In a zone that the image has no file of.
const NOON: &str = r#"Time("2025-07-01 12:00", "%Y-%m-%d %H:%M", "Pacific/Auckland")"#;
const SIZE_MAX: u64 = 10_200_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, a container engine and musl"]
async fn it_takes_spans_and_forwards_them_over_tls_to_a_name_with_nothing_but_itself() {
    let authority = Authority::new();
    authority.issue_for(NAME, "named");
    let engine = Engine::start();
    build(&engine, &std::fs::read_to_string(authority.file("ca.pem")).unwrap());
    let of_image = |what: &str| engine.said(&["image", "inspect", "-f", what, IMAGE]);
    let size: u64 = of_image("{{.Size}}").parse().unwrap();
    assert!(size <= SIZE_MAX, "{size} bytes");
    assert_eq!(of_image("{{.Config.User}}"), "10001:10001");
    assert!(of_image("{{json .Config.Labels}}").contains("\"org.opencontainers.image.title\":\"spandrel\""));

    // Behind the name, another of us that speaks TLS, so that what comes is seen.
    let upstream = Upstream::start().await;
    let tls = authority.settings("named", "");
    let behind = format!(
        "receive: {{grpc: \"127.0.0.1:0\", http: \"127.0.0.1:0\", {tls}}}\nadmin: \"127.0.0.1:0\"\njoin: {{scope: off}}\n\
         upstream: {}\n",
        upstream.endpoint()
    );
    let behind = Proxy::with(behind).await;
    let _names = NameServer::start();
    let directory = tempfile::tempdir().unwrap();
    let [grpc, http, admin] = free_ports();
    let config = format!(
        "receive: {{grpc: \"{grpc}\", http: \"{http}\"}}\nadmin: \"{admin}\"\nupstream: https://{NAME}:{}\n{LABELS}\
         rules: ['set(span.attributes[\"hour\"], String(Hour({NOON})))']\n",
        behind.grpc().port()
    );
    let mount = |name: &str, text: &str, at: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        format!("{}:{at}:ro", path.display())
    };
    let config = mount("spandrel.yaml", &config, "/etc/spandrel/spandrel.yaml");
    let names = mount("resolv.conf", &format!("nameserver {NAME_SERVER}\n"), "/etc/resolv.conf");
    let container = Container(&engine, format!("spandrel-tested-{}", std::process::id()));
    let confined =
        "--read-only --cap-drop=ALL --security-opt=no-new-privileges --memory=32m --cpus=0.1 --network=host";
    let mut run =
        vec!["run", "-d", "--name", &container.1, "-e", "TZ=Pacific/Auckland", "-v", &config, "-v", &names];
    run.extend(confined.split(' '));
    run.push(IMAGE);
    engine.said(&run);
    let begun = Instant::now();
    while !is_ready(admin).await {
        assert!(begun.elapsed() < PATIENCE, "it is not ready: {}", engine.ran(&["logs", &container.1]).1);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // Five hundred spans a second, for five seconds.
    let client = Client::to(http);
    let mut sent = 0;
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    for number in 0..250 {
        tick.tick().await;
        let spans = made::trace(number, 10);
        sent += spans.len();
        client.http(Signal::Traces, made::request(spans).encode_to_vec()).await.assert_taken();
    }
    let came = upstream.await_spans(sent).await;
    came.iter().for_each(|request| assert_labelled(&request.export));
    let mut spans = came.iter().flat_map(|request| request.export.spans());
    assert!(spans.all(|span| text(&span.attributes, "hour") == Some("0")), "midnight in UTC");
    assert_eq!(came.iter().map(|request| Export::count(&request.export)).sum::<usize>(), sent);

    let of = |what: &str| engine.said(&["inspect", "-f", what, &container.1]);
    while of("{{.State.Health.Status}}") != "healthy" {
        assert!(begun.elapsed() < 2 * PATIENCE, "unhealthy: {}", of("{{json .State.Health}}"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let asked = Instant::now();
    engine.said(&["stop", "-t", "20", &container.1]);
    assert!(asked.elapsed() < Duration::from_secs(10), "it took {:?} to end", asked.elapsed());
    assert_eq!(of("{{.State.ExitCode}} {{.State.OOMKilled}}"), "0 false");
    let log = engine.said(&["logs", &container.1]);
    assert!(log.contains("ended with nothing left"), "{log}");
    // Wherever it stands, its clock says the time everybody's does.
    let times: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("{\"timestamp\":\"")).collect();
    assert!(!times.is_empty() && times.iter().all(|line| line[..40].contains("Z\"")), "{log}");
    assert!(
        !engine.ran(&["run", "--rm", "--network=none", "--entrypoint", "/bin/sh", IMAGE]).0,
        "there is a shell"
    );
    println!("image: {size} bytes; {sent} spans; ended within {:?}", asked.elapsed());
}

async fn is_ready(admin: SocketAddr) -> bool {
    let reply = Client::to(admin).try_request(http::Method::GET, "/readyz", &[], Vec::new()).await;
    reply.is_ok_and(|reply| reply.status == 200)
}

/// What an image is but for when it was made, which the classic builder writes into its description: its layers by
/// the digests of what is in them, and how it is run.
#[test]
#[ignore = "needs root, a container engine and musl"]
fn built_twice_it_is_the_same() {
    let engine = Engine::start();
    let built = || {
        build(&engine, "the same authorities\n");
        let what = "{{json .RootFS}} {{json .Config}} {{.Os}} {{.Architecture}} {{.Size}}";
        (
            engine.said(&["image", "inspect", "-f", what, IMAGE]),
            engine.said(&["image", "inspect", "-f", "{{.Created}}", IMAGE]),
        )
    };
    let (first, second) = (built(), built());
    assert_ne!(first.1, second.1, "the second was not built");
    assert_eq!(first.0, second.0);
    assert!(first.0.contains("sha256:") && first.0.contains("/spandrel"), "{}", first.0);
}

/// The last stage of the Dockerfile over what its first would hand it, built anew.
fn build(engine: &Engine, authorities: &str) {
    let context = tempfile::tempdir().unwrap();
    let out = context.path().join("out");
    std::fs::create_dir_all(out.join("etc/ssl/certs")).unwrap();
    std::fs::copy(static_program(), out.join("spandrel")).unwrap();
    std::fs::write(out.join("etc/ssl/certs/ca-certificates.crt"), authorities).unwrap();
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let (first, last) = dockerfile.split_once("FROM scratch AS image").unwrap();
    // As the first stage does it: what is in `/out` is of no time and can be written by nobody.
    let done: Vec<&str> =
        first.lines().filter(|line| line.contains("chmod") || line.contains("touch")).collect();
    let done = done.join("\n").replace("/out", &out.display().to_string()).replace('\\', "");
    let done = format!("true {}", done.replace('\n', " "));
    assert!(Command::new("sh").args(["-c", &done]).status().unwrap().success(), "{done}");
    let last = format!("FROM scratch AS image{}", last.replace("COPY --from=build /out/ /", "COPY out/ /"));
    assert!(last.contains("COPY out/"), "the last stage is not as this test knows it");
    let file = context.path().join("Dockerfile");
    std::fs::write(&file, last).unwrap();
    let path = |path: &Path| path.display().to_string();
    engine.said(&["build", "--no-cache", "-t", IMAGE, "-f", &path(&file), &path(context.path())]);
}

/// Removed when dropped.
struct Container<'a>(&'a Engine, String);

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0.ran(&["logs", &self.1]).1);
        }
        self.0.ran(&["rm", "-f", &self.1]);
    }
}

fn free_ports<const N: usize>() -> [SocketAddr; N] {
    let held: [_; N] = std::array::from_fn(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap())
}

/// Knows one name, and that it is 127.0.0.1.
struct NameServer;

impl NameServer {
    fn start() -> Self {
        let socket = UdpSocket::bind((NAME_SERVER, 53)).expect("port 53, which needs root");
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, whom)) = socket.recv_from(&mut question) {
                let _ = socket.send_to(&Self::answer(&question[..length]), whom);
            }
        });
        Self
    }

    /// The question again, and an address where it asks for one of version 4.
    fn answer(question: &[u8]) -> Vec<u8> {
        let end = question[12..].iter().position(|&byte| byte == 0).map_or(question.len(), |at| 12 + at + 5);
        let labels: Vec<u8> =
            NAME.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
        let known = question[12..].starts_with(&labels);
        let has_address = known && question[end - 4..end] == [0, 1, 0, 1];
        let code = if known { 0 } else { 3 };
        let mut answer = question[..2].to_vec();
        answer.extend([0x81, 0x80 | code, 0, 1, 0, u8::from(has_address), 0, 0, 0, 0]);
        answer.extend(&question[12..end]);
        if has_address {
            answer.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
        }
        answer
    }
}
