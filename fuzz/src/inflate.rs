//! Any coded body: it inflates to what the coding's own library makes of the whole of it, never to more
//! than the cap, and is refused where the library refuses it.
//!
//! Where we are the stricter ones: bytes behind a deflate stream are an error (the library stops reading);
//! more gzip members than we take; a zstd window larger than we take.

use std::io::Read;
use std::sync::LazyLock;

use spandrel::receive::probe::{Coding, InflateError, Probe};

static PROBE: LazyLock<Probe> = LazyLock::new(|| Probe::new(64 << 20, 1 << 20));

/// The first byte chooses the coding, the second the cap.
pub fn check(input: &[u8]) {
    let &[choice, cap, ref body @ ..] = input else { return };
    let coding = [Coding::Gzip, Coding::Deflate, Coding::Zstd][usize::from(choice) % 3];
    let cap = 1 << (cap % 18);
    let ours = PROBE.inflate(coding, body, cap);
    assert_eq!(PROBE.budget().used(), 0);
    if let Ok(bytes) = &ours {
        assert!(bytes.len() <= cap);
    }
    match (ours, whole(coding, body, cap)) {
        (Ok(ours), Whole::Ends(theirs)) => assert_eq!(ours, theirs),
        (Err(InflateError::TooLarge), Whole::TooLarge) => {}
        // A fault before the cap or behind it: which is met first depends on how the library reads ahead.
        (Err(InflateError::TooLarge), Whole::Corrupt) | (Err(InflateError::Corrupt(_)), Whole::TooLarge) => {}
        (Err(InflateError::Corrupt(_)), Whole::Corrupt) => {}
        (Err(InflateError::Corrupt(why)), Whole::Ends(_)) => assert!(is_stricter(coding, why, body), "{why}"),
        (ours, theirs) => panic!("{coding:?}: {ours:?} is not {theirs:?}"),
    }
}

/// What the library makes of a body.
#[derive(Debug)]
enum Whole {
    Ends(Vec<u8>),
    TooLarge,
    Corrupt,
}

fn whole(coding: Coding, body: &[u8], cap: usize) -> Whole {
    let mut out = Vec::new();
    let limit = cap as u64 + 1;
    let read = match coding {
        Coding::Gzip => flate2::read::MultiGzDecoder::new(body).take(limit).read_to_end(&mut out),
        Coding::Deflate if is_wrapped(body) => {
            flate2::read::ZlibDecoder::new(body).take(limit).read_to_end(&mut out)
        }
        Coding::Deflate => flate2::read::DeflateDecoder::new(body).take(limit).read_to_end(&mut out),
        Coding::Zstd => zstd::stream::read::Decoder::with_buffer(body)
            .and_then(|decoder| decoder.take(limit).read_to_end(&mut out)),
        Coding::Identity => unreachable!("it is not chosen"),
    };
    match read {
        Ok(_) if out.len() > cap => Whole::TooLarge,
        // The libraries take nothing at all for an empty body.
        Ok(_) if body.is_empty() => Whole::Corrupt,
        Ok(_) => Whole::Ends(out),
        Err(_) => Whole::Corrupt,
    }
}

/// RFC 1950 §2.2.
fn is_wrapped(body: &[u8]) -> bool {
    matches!(body, [a, b, ..] if a & 0x0f == 8 && u16::from_be_bytes([*a, *b]).is_multiple_of(31))
}

fn is_stricter(coding: Coding, why: &str, body: &[u8]) -> bool {
    match coding {
        Coding::Deflate => why.contains("other bytes follow"),
        Coding::Gzip => why.contains("too many members"),
        Coding::Zstd => has_large_window(body),
        Coding::Identity => false,
    }
}

/// Whether some frame may ask for a window above 32 MiB: an exponent in the first byte after the magic
/// number and the descriptor (RFC 8878 §3.1.1.1.2), or a content size in its place.
fn has_large_window(body: &[u8]) -> bool {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    body.windows(6).any(|head| {
        let (single, exponent) = (head[4] & 0x20 != 0, head[5] >> 3);
        head[..4] == MAGIC && (single || exponent >= 15)
    })
}
