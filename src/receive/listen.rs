//! Sockets to listen on: bound before anything else starts, so that a port in use is known at once.
//!
//! A UNIX socket's file outlives a killed process. One that nobody answers on is replaced; one that
//! somebody does, or a file of another kind, is an error.

use std::io;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::{Listen, Settings};

/// Listeners that are bound, and the addresses they got (port 0 is replaced by the real one).
#[derive(Debug)]
pub struct Bound {
    listeners: Vec<(Listen, Listener)>,
}

impl Bound {
    /// Where we really listen, in the order of the settings.
    pub fn addresses(&self) -> impl Iterator<Item = &Listen> {
        self.listeners.iter().map(|(listen, _)| listen)
    }

    pub(super) fn into_listeners(self) -> impl Iterator<Item = Listener> {
        self.listeners.into_iter().map(|(_, listener)| listener)
    }
}

/// A listener that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {listen}: {cause}")]
pub struct BindError {
    pub listen: String,
    pub cause: io::Error,
}

/// One listener, of either kind.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

/// A socket file of ours, gone when we are.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Nobody is left to tell; the next start replaces it.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A connection just accepted.
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Binds every listener, before anything else starts.
///
/// # Errors
/// The first that can not be had, with the system's reason.
pub async fn bind(settings: &Settings) -> Result<Bound, BindError> {
    let mut listeners = Vec::with_capacity(settings.listen.len());
    for listen in &settings.listen {
        let error = |cause| BindError { listen: listen.to_string(), cause };
        let bound = match listen {
            Listen::Tcp(address) => {
                let listener = TcpListener::bind(address).await.map_err(error)?;
                let address = listener.local_addr().map_err(error)?;
                (Listen::Tcp(address), Listener::Tcp(listener))
            }
            Listen::Unix(path) => {
                clear_stale(path).await.map_err(error)?;
                let listener = UnixListener::bind(path).map_err(error)?;
                (listen.clone(), Listener::Unix { listener, _file: SocketFile(path.clone()) })
            }
        };
        listeners.push(bound);
    }
    Ok(Bound { listeners })
}

/// Removes a socket file nobody listens on any more. Any other file is left alone, and in the way.
async fn clear_stale(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(e) => Err(e),
    }
}

impl Listener {
    /// The next connection.
    pub async fn accept(&self) -> io::Result<Socket> {
        match self {
            Listener::Tcp(listener) => listener.accept().await.map(|(socket, _)| Socket::Tcp(socket)),
            Listener::Unix { listener, .. } => {
                listener.accept().await.map(|(socket, _)| Socket::Unix(socket))
            }
        }
    }
}
