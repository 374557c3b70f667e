//! A peer that writes HTTP/2 frames as it is told, however wrong, and reads what comes back.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::PATIENCE;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// The code of a GOAWAY that says "you ask for too much" (RFC 9113 §7).
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// One frame, as it goes on the wire (RFC 9113 §4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("a frame has fewer than 2^24 bytes").to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The header block of a POST of OTLP to `path`, in literals that leave the peer's table alone.
pub fn post(path: &str, kind: &str) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "x"),
        ("content-type", kind),
    ];
    fields.iter().flat_map(|(name, value)| literal(name, value)).collect()
}

/// A literal header field without indexing, new name (RFC 7541 §6.2.2).
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    [vec![0], text(name), text(value)].concat()
}

/// The same, and the peer's table remembers it as its newest entry (§6.2.1).
pub fn remembered(name: &str, value: &str) -> Vec<u8> {
    [vec![0x40], text(name), text(value)].concat()
}

/// The newest entry of the peer's table, in one byte (§6.1).
pub const NEWEST: u8 = 0x80 | 62;

/// Not Huffman coded, its length before it (§5.1, §5.2).
fn text(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    if text.len() < 127 {
        out.push(text.len() as u8);
    } else {
        out.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            out.push(rest as u8 & 0x7f | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }
    out.extend_from_slice(text.as_bytes());
    out
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// How a conversation ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// The code of the last GOAWAY.
    pub goaway: Option<u32>,
    /// The peer closed the connection.
    pub closed: bool,
    /// Bytes that it took before.
    pub taken: usize,
    /// Streams that it reset.
    pub resets: usize,
}

/// A connection that has said its preface and its settings.
pub struct Frames {
    socket: TcpStream,
    came: Vec<u8>,
}

impl Frames {
    pub async fn to(address: SocketAddr) -> Self {
        Self::with(address, &[]).await
    }

    /// With these settings (RFC 9113 §6.5.2).
    pub async fn with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let socket = TcpStream::connect(address).await.expect("it listens");
        let mut frames = Self { socket, came: Vec::new() };
        let pairs: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        frames.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        frames.write(&frame(SETTINGS, 0, 0, &pairs)).await;
        frames
    }

    /// Writes; whether the peer still takes anything.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).await.is_ok()
    }

    /// The next frame; `None` when the peer has closed the connection.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = take(&mut self.came) {
                return Some(frame);
            }
            match tokio::time::timeout(PATIENCE, self.socket.read_buf(&mut self.came)).await {
                Ok(read) => read.ok().filter(|len| *len > 0)?,
                Err(_) => panic!("waited {PATIENCE:?} for a frame"),
            };
        }
    }

    /// Reads until the peer closes the connection.
    pub async fn ending(mut self) -> Ending {
        let mut ending = Ending::default();
        while let Some(frame) = self.next().await {
            ending.saw(&frame);
        }
        Ending { closed: true, ..ending }
    }

    /// Writes `more` over and over, reading all the while, until the peer closes or the time is over.
    /// One that `reads` nothing writes until the peer takes no more.
    pub async fn flood(self, lasting: Duration, reads: bool, mut more: impl FnMut() -> Vec<u8>) -> Ending {
        let Self { socket, mut came } = self;
        let (mut from, mut to) = socket.into_split();
        let (mut taken, mut ending) = (0, Ending::default());
        let writing = async {
            loop {
                let bytes = more();
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
                taken += bytes.len();
                // A flood is a task among others on its thread.
                tokio::task::yield_now().await;
            }
        };
        let reading = async {
            if !reads {
                return std::future::pending().await;
            }
            while from.read_buf(&mut came).await.is_ok_and(|len| len > 0) {
                while let Some(frame) = take(&mut came) {
                    ending.saw(&frame);
                }
            }
        };
        let both = async {
            tokio::pin!(writing, reading);
            tokio::select! {
                // What it had to say before it closed is still there to be read.
                () = &mut writing => if reads { reading.await },
                () = &mut reading => {}
            }
        };
        let closed = tokio::time::timeout(lasting, both).await.is_ok();
        Ending { closed, taken, ..ending }
    }
}

impl Ending {
    fn saw(&mut self, frame: &Frame) {
        match (frame.kind, frame.payload.get(4..8)) {
            (GOAWAY, Some(code)) => {
                self.goaway = Some(u32::from_be_bytes(code.try_into().expect("four bytes")))
            }
            (RST_STREAM, _) => self.resets += 1,
            _ => {}
        }
    }
}

/// Takes a whole frame off the front.
fn take(came: &mut Vec<u8>) -> Option<Frame> {
    let head: [u8; 9] = *came.first_chunk()?;
    let end = 9 + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let payload = came.get(9..end)?.to_vec();
    came.drain(..end);
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Some(Frame { kind: head[3], flags: head[4], stream, payload })
}
