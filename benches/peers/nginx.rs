//! nginx passing the bytes along: what forwarding costs whoever does nothing else.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::LazyLock;

use crate::caller::Transport;
use crate::load::Load;
use crate::program::{Program, free_port};

/// Its version, if it is installed; said once if it is not.
pub static VERSION: LazyLock<Option<String>> = LazyLock::new(|| {
    let version = version();
    if version.is_none() {
        println!("nginx is not installed (apt-get install nginx): what is measured beside it is left out");
    }
    version
});

fn version() -> Option<String> {
    let output = Command::new("nginx").arg("-v").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(text.trim().rsplit_once('/')?.1.split_whitespace().next()?.to_owned())
}

/// Started, perhaps not listening yet.
pub fn spawn(load: &Load, sink: SocketAddr) -> Program {
    let address = free_port();
    // Releases before 1.25 know `http2` only as a word of `listen`.
    let minor = VERSION.as_ref().and_then(|version| version.split('.').nth(1)?.parse::<u32>().ok());
    let (word, line, pass) = match (load.transport, minor.is_some_and(|minor| minor < 25)) {
        (Transport::Grpc, old) => {
            let (word, line) = if old { (" http2", "") } else { ("", "http2 on;") };
            (word, line, "grpc_pass grpc://sink; grpc_buffer_size 64k;")
        }
        (Transport::Http, _) => {
            ("", "", "proxy_pass http://sink; proxy_http_version 1.1; proxy_set_header Connection \"\";")
        }
    };
    let text = format!(
        "daemon off; pid DIRECTORY/pid; error_log stderr error; worker_processes auto;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; client_max_body_size 0; client_body_buffer_size 2m; keepalive_requests 1000000;\n\
         client_body_temp_path DIRECTORY/body; proxy_temp_path DIRECTORY/proxy; fastcgi_temp_path DIRECTORY/f;\n\
         uwsgi_temp_path DIRECTORY/u; scgi_temp_path DIRECTORY/s;\n\
         upstream sink {{ server {sink}; keepalive 64; keepalive_requests 1000000; }}\n\
         server {{ listen {address}{word}; {line} location / {{ {pass} }} }} }}\n"
    );
    Program::start(address, "nginx.conf", &text, |file| {
        let mut command = Command::new("nginx");
        command.arg("-c").arg(file);
        command
    })
}
