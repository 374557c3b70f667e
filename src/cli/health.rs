//! `spandrel health`: asks a running instance whether it takes requests, and says what it answers. `spandrel flush`:
//! tells it that the end is near.
//!
//! For an image without a shell: they are the image's HEALTHCHECK, the chart's test and a sidecar's preStop. Plain
//! sockets, since it is started every few seconds beside a process that has a tenth of a core.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use super::{fail, print};
use crate::config::Loaded;

/// For each step: finding the name's addresses is the system's affair.
const PATIENCE: Duration = Duration::from_secs(3);
/// An answer is a line; more is none.
const ANSWER_MAX: u64 = 64 << 10;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
enum Errand {
    Health,
    Flush,
}

impl Errand {
    fn line(self) -> &'static str {
        match self {
            Errand::Health => "GET /readyz",
            Errand::Flush => "POST /flush",
        }
    }
}

/// Asks at `address`.
pub fn run(address: &str) -> ExitCode {
    go(Errand::Health, address)
}

/// Tells the instance at this `admin` address that the end is near.
pub fn flush(address: &str) -> ExitCode {
    go(Errand::Flush, address)
}

fn go(errand: Errand, address: &str) -> ExitCode {
    match ask(errand, address) {
        Ok(said) => print(&format!("{said}\n")),
        Err(why) => fail(why),
    }
}

/// Asks where the configuration has `probes` or `admin`; one that listens everywhere is here, too.
pub fn of_configuration(loaded: &Loaded) -> ExitCode {
    let Some(mut at) = loaded.plan.probes.or(loaded.plan.admin) else {
        return fail("`probes` and `admin` are off in the configuration; name the instance's address");
    };
    if at.ip().is_unspecified() {
        at.set_ip(if at.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    run(&at.to_string())
}

/// What it says while it takes requests; else why it does not.
fn ask(errand: Errand, address: &str) -> Result<String, String> {
    let hint = "is it running, and is this its `probes` or `admin` address?";
    let addresses = address.to_socket_addrs().map_err(|cause| format!("`{address}`: {cause}; {hint}"))?;
    let mut last = format!("`{address}` is no address; {hint}");
    for at in addresses {
        match TcpStream::connect_timeout(&at, PATIENCE).and_then(|socket| exchange(socket, errand, address)) {
            Ok(answer) => return read(&answer),
            Err(cause) => last = format!("{at}: {cause}; {hint}"),
        }
    }
    Err(last)
}

fn exchange(mut socket: TcpStream, errand: Errand, host: &str) -> std::io::Result<String> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let line = errand.line();
    write!(socket, "{line} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    socket.take(ANSWER_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The body, told apart by the status line.
fn read(answer: &str) -> Result<String, String> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.lines().next().unwrap_or_default();
    match status.split(' ').nth(1) {
        Some("200") => Ok(body.trim().to_owned()),
        Some("503") => Err(body.trim().to_owned()),
        _ => Err(format!("that is no `probes` or `admin` address of ours: it answers `{status}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_told_from_whether_it_is_well() {
        let answer = |status: &str| format!("HTTP/1.1 {status}\r\nx: y\r\n\r\nsaid\n");
        assert_eq!(read(&answer("200 OK")), Ok("said".to_owned()));
        assert_eq!(read(&answer("503 Service Unavailable")), Err("said".to_owned()));
        assert!(read(&answer("404 Not Found")).unwrap_err().contains("404"));
        assert!(read("SSH-2.0").unwrap_err().contains("SSH-2.0"));
    }

    #[test]
    fn nobody_there_is_said_with_a_hint() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let why = ask(Errand::Health, &address).unwrap_err();
        assert!(why.contains(&address) && why.contains("is it running"), "{why}");
    }
}
