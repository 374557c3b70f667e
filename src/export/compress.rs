//! Compression of what is sent: one gzip member or one zstd frame, of pieces that are never joined.

use std::io::{self, Write};

use super::Compression;
use super::body::Pieces;

/// Bodies from this size are compressed on a thread of their own kind, so that other sends go on.
const APART_MIN: usize = 256 << 10;
/// What the peers use for telemetry: most of the gain for a fraction of the time.
const ZSTD_LEVEL: i32 = 1;

impl Compression {
    /// The name in `content-encoding` and `grpc-encoding`.
    pub(super) const fn name(self) -> Option<&'static str> {
        match self {
            Compression::None => None,
            Compression::Gzip => Some("gzip"),
            Compression::Zstd => Some("zstd"),
        }
    }
}

/// The pieces, compressed.
///
/// # Errors
/// None in practice: the encoders write to memory. The caller counts what could not be packed.
pub(super) async fn compress(how: Compression, pieces: Pieces) -> io::Result<Pieces> {
    match how {
        Compression::None => Ok(pieces),
        Compression::Gzip | Compression::Zstd if pieces.len() < APART_MIN => now(how, &pieces),
        Compression::Gzip | Compression::Zstd => apart(move || now(how, &pieces)).await?,
    }
}

/// Runs work that takes long on the blocking pool.
pub(super) async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

fn now(how: Compression, pieces: &Pieces) -> io::Result<Pieces> {
    let room = Vec::with_capacity(pieces.len() / 4);
    let out = match how {
        Compression::None => return Ok(pieces.clone()),
        Compression::Gzip => {
            let mut gzip = flate2::write::GzEncoder::new(room, flate2::Compression::fast());
            pieces.unread().try_for_each(|piece| gzip.write_all(piece))?;
            gzip.finish()?
        }
        Compression::Zstd => {
            let mut zstd = zstd::stream::write::Encoder::new(room, ZSTD_LEVEL)?;
            zstd.set_pledged_src_size(Some(pieces.len() as u64))?;
            pieces.unread().try_for_each(|piece| zstd.write_all(piece))?;
            zstd.finish()?
        }
    };
    Ok(Pieces::new(vec![out.into()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{Buf, Bytes};
    use std::io::Read;

    #[tokio::test]
    async fn pieces_come_back_whole_small_and_large() {
        for size in [0, 5, APART_MIN * 2] {
            let half = Bytes::from(vec![7; size / 2]);
            let pieces = Pieces::new(vec![half.clone(), half]);
            let plain = pieces.clone().copy_to_bytes(pieces.len());

            let mut gzip = compress(Compression::Gzip, pieces.clone()).await.unwrap();
            let (mut out, gzip) = (Vec::new(), gzip.copy_to_bytes(gzip.len()));
            flate2::read::GzDecoder::new(&*gzip).read_to_end(&mut out).unwrap();
            assert_eq!(out, plain, "gzip of {size}, as one member");

            let mut zstd = compress(Compression::Zstd, pieces).await.unwrap();
            assert_eq!(zstd::decode_all(&*zstd.copy_to_bytes(zstd.len())).unwrap(), plain, "zstd of {size}");
        }
    }
}
