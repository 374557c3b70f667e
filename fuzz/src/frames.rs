//! Any body of a unary gRPC call: how it is cut into DATA frames changes nothing, and it reads as the frame
//! it says it is: a flag, a length, so many bytes, and the end. What is refused has given its memory back.

use std::sync::LazyLock;

use spandrel::receive::probe::Probe;
use tokio::runtime::{Builder, Runtime};

const REQUEST_MAX: usize = 1 << 12;

struct Edge {
    probe: Probe,
    runtime: Runtime,
}

static EDGE: LazyLock<Edge> = LazyLock::new(|| Edge {
    probe: Probe::new(1 << 20, REQUEST_MAX),
    runtime: Builder::new_current_thread().enable_time().build().expect("a runtime needs no more"),
});

/// The first byte says how the rest is cut.
pub fn check(input: &[u8]) {
    let Some((&cut, body)) = input.split_first() else { return };
    let pieces: Vec<&[u8]> = match usize::from(cut) {
        0 => vec![body],
        // Every other piece is empty: a DATA frame may be.
        size => body.chunks(size).flat_map(|piece| [piece, &[]]).collect(),
    };
    let read = EDGE.runtime.block_on(EDGE.probe.unframe(&pieces));
    let read = read.map(|(compressed, message, paid)| {
        assert_eq!(paid, message.len(), "what is held is paid for, no more and no less");
        (compressed, message.to_vec())
    });
    assert_eq!(read, expected(body));
    assert_eq!(EDGE.probe.budget().used(), 0);
}

fn expected(body: &[u8]) -> Result<(bool, Vec<u8>), &'static str> {
    let Some((&[flag, a, b, c, d], message)) = body.split_first_chunk() else { return Err("framing") };
    let len = u32::from_be_bytes([a, b, c, d]) as usize;
    match flag {
        0 | 1 if len > REQUEST_MAX => Err("too_large"),
        0 | 1 if len == message.len() => Ok((flag == 1, message.to_vec())),
        _ => Err("framing"),
    }
}
