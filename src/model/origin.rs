//! Where a request came from, and what must travel with it.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::Caller;

/// Whose data it is. Two requests with the same key may share a trace; different keys never do.
/// Zero is nobody's: a request without credentials, which may join the trace of a named tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TenantKey(pub u64);

impl TenantKey {
    pub const ANONYMOUS: Self = Self(0);
}

/// How many Spandrels a request has been through. It is a kept header, so a batch, whose requests all have
/// the same kept headers, has one count, and what goes round grows by one each time round (faults F48).
pub const HOPS: &str = "spandrel-hops";
/// More than any chain of sidecar, node and gateway has.
pub const HOPS_MAX: u32 = 8;

/// The count that these values of [`HOPS`] give: the highest, and nothing where none is a number.
pub fn hops<'a>(values: impl Iterator<Item = &'a [u8]>) -> u32 {
    let numbers = values.filter_map(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
    numbers.max().unwrap_or(0)
}

/// The kept headers of a request: `authorization`, `x-langfuse-*`, `x-interactiveai-*` and [`HOPS`]. They pick
/// the backend's project and its reading of the batch, so batches of different origins never mix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Origin {
    /// From `authorization` and `*-public-key` alone: one project's SDKs share traces whatever their names.
    pub tenant: TenantKey,
    /// From all kept headers, 0 without any.
    pub key: u64,
    /// Sorted by name.
    pub headers: Vec<(HeaderNameOrd, HeaderValueOrd)>,
    /// What rules ask of the request. It does not travel, and keeps no batches apart.
    pub caller: Option<Arc<Caller>>,
}

/// Header names and values with the order and hash a map key needs.
pub type HeaderNameOrd = Box<str>;
pub type HeaderValueOrd = Box<[u8]>;

impl Origin {
    /// Nobody's: no kept header.
    pub fn anonymous() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// The origin of a request of which something is asked.
    pub fn with(caller: Caller) -> Self {
        let plain = (*caller.plain).clone();
        Self { caller: Some(Arc::new(caller)), ..plain }
    }

    /// What of it travels.
    pub fn plain(this: &Arc<Self>) -> &Arc<Self> {
        this.caller.as_ref().map_or(this, |caller| &caller.plain)
    }

    /// Whether a request header travels with its data.
    pub fn keeps(name: &HeaderName) -> bool {
        let name = name.as_str();
        name == "authorization"
            || name == HOPS
            || name.starts_with("x-langfuse-")
            || name.starts_with("x-interactiveai-")
    }

    /// The origin of a request with these headers; others are ignored. Keys are the same in every
    /// process, so that what a test sees is what production does.
    pub fn of<'a>(headers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>) -> Self {
        let mut kept: Vec<(HeaderNameOrd, HeaderValueOrd)> = headers
            .filter(|(name, _)| Self::keeps(name))
            .map(|(name, value)| (name.as_str().into(), value.as_bytes().into()))
            .collect();
        kept.sort();
        let key_of = |wanted: fn(&str) -> bool| {
            let mut picked = kept.iter().filter(|(name, _)| wanted(name)).peekable();
            picked.peek()?;
            use std::hash::{BuildHasher, Hash, Hasher};
            let mut hasher = ahash::RandomState::with_seeds(1, 2, 3, 4).build_hasher();
            picked.for_each(|header| header.hash(&mut hasher));
            Some(hasher.finish().max(1))
        };
        let names_tenant = |name: &str| name == "authorization" || name.ends_with("-public-key");
        let tenant = TenantKey(key_of(names_tenant).unwrap_or(0));
        Self { tenant, key: key_of(|_| true).unwrap_or(0), headers: kept, caller: None }
    }
}
