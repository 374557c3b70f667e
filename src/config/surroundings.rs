//! What the configuration depends on outside its file: variables, the machine, the network.
//!
//! Handed in, so that tests say what the world looks like and never touch the process's own.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use super::otel::pairs;

/// Environment variables. Empty and blank ones count as unset.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    set: BTreeMap<String, String>,
    /// Names of variables whose value is not UTF-8.
    pub unreadable: Vec<String>,
}

impl Variables {
    /// This process's.
    pub fn of_process() -> Self {
        let mut variables = Self::default();
        for (name, value) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            match value.into_string() {
                Ok(value) if value.trim().is_empty() => {}
                Ok(value) => drop(variables.set.insert(name, value)),
                Err(_) => variables.unreadable.push(name),
            }
        }
        variables
    }

    /// These and one more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if !value.trim().is_empty() {
            self.set.insert(name.to_owned(), value.to_owned());
        }
        self
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.set.get(name).map(String::as_str)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.set.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Variables {
    fn from(pairs: [(&str, &str); N]) -> Self {
        pairs.into_iter().fold(Self::default(), |all, (name, value)| all.with(name, value))
    }
}

/// Everything outside the file.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub variables: Variables,
    /// Where `/proc`, `/sys` and `/etc` are found: `/`.
    pub root: PathBuf,
    /// The addresses of a host name; none when it is not known in time.
    pub resolve: fn(&str) -> Vec<IpAddr>,
    /// Whether an address is one of this machine's.
    pub is_ours: fn(IpAddr) -> bool,
}

impl Surroundings {
    /// The Kubernetes namespace of our own pod.
    pub fn namespace(&self) -> Option<String> {
        let told = self.variables.get("OTEL_RESOURCE_ATTRIBUTES").map(pairs).unwrap_or_default();
        let told = told.into_iter().find(|(key, _)| key == "k8s.namespace.name").map(|(_, name)| name);
        let variable = || self.variables.get("POD_NAMESPACE").map(str::to_owned);
        let mounted = || {
            let file = self.root.join("var/run/secrets/kubernetes.io/serviceaccount/namespace");
            Some(std::fs::read_to_string(file).ok()?.trim().to_owned())
        };
        told.or_else(variable).or_else(mounted).filter(|name| !name.is_empty())
    }

    /// The real ones.
    pub fn of_process() -> Self {
        Self { variables: Variables::of_process(), root: PathBuf::from("/"), resolve, is_ours }
    }
}

/// How long a start waits for a name server that does not answer.
const RESOLVE_MAX: Duration = Duration::from_millis(500);

/// Asks on a thread of its own: the system's resolver can take many seconds to give up, and nobody
/// should wait for that to learn that an upstream is not ourselves.
fn resolve(host: &str) -> Vec<IpAddr> {
    let (tell, told) = mpsc::channel();
    let host = host.to_owned();
    let asking = std::thread::Builder::new().name("resolve".to_owned()).spawn(move || {
        let found = (host.as_str(), 0).to_socket_addrs().map(|found| found.map(|a| a.ip()).collect());
        // Nobody listens any more when this took too long.
        let _ = tell.send(found.unwrap_or_default());
    });
    asking.ok().and_then(|_| told.recv_timeout(RESOLVE_MAX).ok()).unwrap_or_default()
}

/// An address can be bound exactly when it is this machine's.
fn is_ours(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind(SocketAddr::new(address, 0)).is_ok()
}
