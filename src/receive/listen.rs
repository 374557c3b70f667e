//! Sockets to listen on: bound before anything else starts, so that a port in use is known at once.
//!
//! A UNIX socket's file outlives a killed process. One that nobody answers on is replaced; one that
//! somebody does, or a file of another kind, is an error.

use std::fs::Permissions;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::doors::Doors;
use super::{Listen, Settings};

/// Connections that wait to be accepted, as many as the TCP listeners have.
const BACKLOG: i32 = 1024;

/// Listeners that are bound, and the addresses they got (port 0 is replaced by the real one).
#[derive(Debug)]
pub struct Bound {
    listeners: Vec<(Listen, Listener)>,
    doors: Doors,
}

impl Bound {
    /// Where we really listen, in the order of the settings.
    pub fn addresses(&self) -> impl Iterator<Item = &Listen> {
        self.listeners.iter().map(|(listen, _)| listen)
    }

    pub(super) fn into_parts(self) -> (impl Iterator<Item = Listener>, Doors) {
        (self.listeners.into_iter().map(|(_, listener)| listener), self.doors)
    }
}

/// A listener that could not be had, or a file it needs.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("can't listen on {listen}: {cause}{}", hint(.listen, .cause))]
    Listen { listen: Listen, cause: io::Error },
    #[error("{0}")]
    Doors(String),
}

fn hint(listen: &Listen, cause: &io::Error) -> &'static str {
    match (listen, cause.kind()) {
        (Listen::Tcp(_), io::ErrorKind::AddrInUse) => {
            "; another process listens there: stop it, or choose another port"
        }
        (Listen::Unix(_), io::ErrorKind::AddrInUse) => {
            "; another process listens on it: stop it, or choose another path"
        }
        (Listen::Unix(_), io::ErrorKind::AlreadyExists) => {
            "; it is no socket: remove it, or choose another path"
        }
        (Listen::Unix(_), io::ErrorKind::NotFound) => "; make its directory first",
        _ => "",
    }
}

/// One listener, of either kind.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

/// A socket file of ours, gone when we are. One that has taken its place since is left alone.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), identity: identity(path) }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // Nobody is left to tell; the next start replaces it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// A connection just accepted, and from where.
pub enum Socket {
    Tcp(TcpStream, IpAddr),
    Unix(UnixStream),
}

/// Binds every listener and reads the files they need, before anything else starts.
///
/// # Errors
/// The first that can not be had, with the system's reason and what to do.
pub async fn bind(settings: &Settings) -> Result<Bound, BindError> {
    let doors = Doors::new(settings).map_err(BindError::Doors)?;
    let mut listeners = Vec::with_capacity(settings.listen.len());
    for listen in &settings.listen {
        let error = |cause| BindError::Listen { listen: listen.clone(), cause };
        let bound = match listen {
            Listen::Tcp(address) => {
                let listener = TcpListener::bind(address).await.map_err(error)?;
                let address = listener.local_addr().map_err(error)?;
                (Listen::Tcp(address), Listener::Tcp(listener))
            }
            Listen::Unix(path) => {
                clear_stale(path).await.map_err(error)?;
                (listen.clone(), bind_unix(path, settings.unix_mode).map_err(error)?)
            }
        };
        listeners.push(bound);
    }
    Ok(Bound { listeners, doors })
}

/// Nobody can connect before the file has its mode: it listens only then.
fn bind_unix(path: &Path, mode: Option<u32>) -> io::Result<Listener> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    let file = SocketFile::at(path);
    if let Some(mode) = mode {
        std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    rustix::net::listen(&socket, BACKLOG)?;
    let listener = std::os::unix::net::UnixListener::from(socket);
    listener.set_nonblocking(true)?;
    Ok(Listener::Unix { listener: UnixListener::from_std(listener)?, _file: file })
}

/// Removes a socket file nobody listens on any more. Any other file is left alone, and in the way.
async fn clear_stale(path: &Path) -> io::Result<()> {
    let Ok(found) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(io::ErrorKind::AlreadyExists.into());
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
            Listener::Tcp(listener) => {
                listener.accept().await.map(|(socket, from)| Socket::Tcp(socket, from.ip()))
            }
            Listener::Unix { listener, .. } => {
                listener.accept().await.map(|(socket, _)| Socket::Unix(socket))
            }
        }
    }
}
