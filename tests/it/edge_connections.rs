//! Sockets and connections: who may open them, and how they end.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use spandrel::wire::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};

use crate::harness::{PATIENCE, Proxy, Start};

const PORTS: &str = "grpc: \"127.0.0.1:0\", http: \"127.0.0.1:0\"";
const POST: &str = "POST /v1/logs HTTP/1.1\r\nhost: edge\r\ncontent-type: application/json\r\n\
                    content-length: 2\r\nconnection: close\r\n\r\n{}";

fn config(lines: &str) -> String {
    format!("receive: {{{PORTS}, {lines}}}\nadmin: \"127.0.0.1:0\"\n")
}

#[tokio::test]
async fn a_unix_socket_has_its_mode_and_takes_the_place_of_a_dead_ones() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spandrel.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "the file of a listener that is gone");
    let lines = format!("unix: {}, unix_mode: 0620", path.display());
    let proxy = Proxy::with(config(&lines)).await;
    let file = std::fs::symlink_metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o620);
    let mut socket = UnixStream::connect(&path).await.unwrap();
    socket.write_all(POST.as_bytes()).await.unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");

    let (code, said) = Proxy::fails(Start { config: config(&lines), ..Start::default() }).await;
    assert_ne!(code, 0);
    assert!(said.contains("another process listens on it"), "{said}");
    assert!(path.exists(), "the live one keeps its file");
    proxy.stop().await;
    assert!(!path.exists());

    std::fs::write(&path, "a file of somebody's").unwrap();
    let (_, said) = Proxy::fails(Start { config: config(&lines), ..Start::default() }).await;
    assert!(said.contains("it is no socket"), "{said}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file of somebody's");
}

/// The last stream named by each GOAWAY on an HTTP/2 connection that only rests, to its end.
async fn goaways(proxy: &Proxy, begun: impl FnOnce()) -> Vec<u32> {
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    const SETTINGS_ACK: &[u8] = &[0, 0, 0, 4, 1, 0, 0, 0, 0];
    let mut socket = TcpStream::connect(proxy.grpc()).await.unwrap();
    socket.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", SETTINGS].concat()).await.unwrap();
    let mut begun = Some(begun);
    let mut last = Vec::new();
    let mut head = [0; 9];
    while socket.read_exact(&mut head).await.is_ok() {
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        socket.read_exact(&mut payload).await.unwrap();
        match (head[3], head[4] & 1) {
            (4, 0) => {
                socket.write_all(SETTINGS_ACK).await.unwrap();
                begun.take().into_iter().for_each(|begun| begun());
            }
            (6, 0) => {
                let ack = [&[0, 0, 8, 6, 1, 0, 0, 0, 0], payload.as_slice()].concat();
                socket.write_all(&ack).await.unwrap();
            }
            (7, _) => last.push(u32::from_be_bytes(payload[..4].try_into().unwrap())),
            _ => {}
        }
    }
    last
}

#[tokio::test]
async fn gs15_a_connection_of_age_is_told_in_two_steps_to_go() {
    let proxy = Proxy::with(config("max_connection_age: 1s")).await;
    let last = tokio::time::timeout(PATIENCE, goaways(&proxy, || {})).await.expect("it is told to go");
    assert_eq!(last, [0x7fff_ffff, 0]);
    for _ in 0..2 {
        proxy.client().grpc(Signal::Traces, "").await.assert_taken();
    }
}

#[tokio::test]
async fn gs15_a_stop_tells_in_two_steps_to_go() {
    let proxy = Proxy::with("").await;
    let last = tokio::time::timeout(PATIENCE, goaways(&proxy, || proxy.ask_to_stop())).await;
    assert_eq!(last.expect("it is told to go"), [0x7fff_ffff, 0]);
}
