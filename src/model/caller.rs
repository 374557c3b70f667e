//! What rules and labels are told of the request that data came in: the headers they name, and its peer.
//!
//! None of it travels on. Where nothing names any, nothing is noted, and nothing is looked for.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use http::HeaderMap;

use super::Origin;

/// Bytes of a header's value that can be told; a longer one is as good as none, since a part of it could be
/// another's whole.
const VALUE_MAX: usize = 1024;

/// Whose request it was, as far as somebody asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller {
    /// Sorted by name, in lower case. Of several values the first.
    headers: Box<[(Arc<str>, Box<str>)]>,
    peer: Option<Box<str>>,
    /// The origin without all this.
    pub plain: Arc<Origin>,
}

impl Caller {
    /// What is asked for of a request with these headers.
    pub fn of(asked: &Interest, headers: &HeaderMap, peer: Option<IpAddr>, plain: Arc<Origin>) -> Self {
        let value = |name: &Arc<str>| {
            let value = headers.get(&**name)?.as_bytes();
            let value = std::str::from_utf8(value).ok().filter(|value| value.len() <= VALUE_MAX)?;
            Some((name.clone(), value.into()))
        };
        let peer = peer.filter(|_| asked.peer).map(|peer| peer.to_canonical().to_string().into());
        Self { headers: asked.headers.iter().filter_map(value).collect(), peer, plain }
    }

    /// The value of a header, whose name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let at = self.headers.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        self.headers.get(at).map(|(_, value)| &**value)
    }

    /// The address of the other side, without its port. A UNIX socket has none.
    pub fn peer(&self) -> Option<&str> {
        self.peer.as_deref()
    }

    /// Bytes it takes.
    pub fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(_, value)| value.len() + 32).sum();
        size_of::<Self>() + headers + self.peer.as_ref().map_or(0, |peer| peer.len())
    }
}

/// What somebody wants to know of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// In lower case.
    pub headers: BTreeSet<Arc<str>>,
    pub peer: bool,
}

impl Interest {
    pub fn is_nothing(&self) -> bool {
        self.headers.is_empty() && !self.peer
    }

    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let headers = self.headers.union(&other.headers).cloned().collect();
        Self { headers, peer: self.peer || other.peer }
    }
}

/// What is noted of requests now; it changes with the rules.
#[derive(Debug, Default)]
pub struct Noting {
    any: AtomicBool,
    asked: RwLock<Arc<Interest>>,
}

impl Noting {
    pub fn note(&self, interest: Interest) {
        self.any.store(!interest.is_nothing(), Ordering::Release);
        *self.asked.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(interest);
    }

    /// `None`: nothing.
    pub fn asked(&self) -> Option<Arc<Interest>> {
        let asked = || self.asked.read().unwrap_or_else(PoisonError::into_inner).clone();
        self.any.load(Ordering::Acquire).then(asked)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_is_asked_for_is_noted_and_nothing_else() {
        let mut headers = HeaderMap::new();
        let long = "x".repeat(VALUE_MAX + 1);
        for (name, value) in [("x-tenant", "a"), ("x-tenant", "b"), ("x-other", "c"), ("x-long", &long)] {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers.insert("x-latin", HeaderValue::from_bytes(b"\xe9").unwrap());
        let names = ["x-long", "x-tenant", "x-none", "x-latin"];
        let asked = Interest { headers: names.into_iter().map(Arc::from).collect(), peer: true };
        let peer = Some("::ffff:10.0.0.1".parse().unwrap());
        let caller = Caller::of(&asked, &headers, peer, Origin::anonymous());
        let got = ["x-tenant", "x-other", "x-long", "x-none", "x-latin"].map(|name| caller.header(name));
        assert_eq!((got, caller.peer()), ([Some("a"), None, None, None, None], Some("10.0.0.1")));
        let quiet = Interest { peer: false, ..asked };
        assert_eq!(Caller::of(&quiet, &headers, peer, Origin::anonymous()).peer(), None);
    }
}
