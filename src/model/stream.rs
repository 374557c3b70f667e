//! A connection's bytes, whatever carries them: TCP, TLS, a UNIX socket, a proxy's tunnel.
//!
//! One type for all, because HTTP's machinery is compiled once for each type it runs over: with a type for each
//! way in and out it was a tenth of the program. A call through a table for each read and write is not to be seen
//! beside the read or write itself.

use std::fmt;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection that is silent for so long is asked whether anybody is there; so often; and so many times in vain.
const KEEP_IDLE: Duration = Duration::from_secs(10);
const KEEP_INTERVAL: Duration = Duration::from_secs(3);
const KEEP_PROBES: u32 = 3;

/// What can carry one.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Io for T {}

/// Read and written on one task at a time.
pub struct Stream(Box<dyn Io>);

impl Stream {
    pub fn new(io: impl Io) -> Self {
        Self(Box::new(io))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

/// Small writes go at once, and the kernel finds out whether the other end is still there. All of it is a hint: a system
/// without one of them still has the timeouts of calls and of silence.
pub fn tune(socket: &TcpStream) {
    use rustix::net::sockopt;
    let _ = socket.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(socket, true);
    let _ = sockopt::set_tcp_keepidle(socket, KEEP_IDLE);
    let _ = sockopt::set_tcp_keepintvl(socket, KEEP_INTERVAL);
    let _ = sockopt::set_tcp_keepcnt(socket, KEEP_PROBES);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn f12_the_kernel_asks_idle_connections_and_ends_those_nobody_answers_on_within_twenty_seconds() {
        use rustix::net::sockopt;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        tune(&socket);
        assert!(sockopt::socket_keepalive(&socket).unwrap() && socket.nodelay().unwrap());
        let probes = sockopt::tcp_keepcnt(&socket).unwrap() * sockopt::tcp_keepintvl(&socket).unwrap();
        assert!(sockopt::tcp_keepidle(&socket).unwrap() + probes <= Duration::from_secs(20));
    }
}
