//! Remembers a connection's last origin: an SDK sends the same headers with every export.

use std::sync::{Arc, Mutex, PoisonError};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::credentials::Shown;
use crate::model::Origin;

/// The kept headers of a request as they came, and what they mean.
type Seen = (Vec<(HeaderName, HeaderValue)>, Arc<Origin>);

/// One connection's memory of one origin.
#[derive(Debug)]
pub struct Origins {
    anonymous: Arc<Origin>,
    last: Mutex<Option<Seen>>,
}

impl Origins {
    pub fn new(anonymous: Arc<Origin>) -> Self {
        Self { anonymous, last: Mutex::new(None) }
    }

    /// The origin of a request with these headers. Allocates only when they differ from the last ones. What
    /// let the caller in with us is not the upstream's to see.
    pub fn of(&self, headers: &HeaderMap, shown: Shown) -> Arc<Origin> {
        let travels =
            |name: &HeaderName| Origin::keeps(name) && (shown == Shown::Apart || name != AUTHORIZATION);
        let kept = || headers.iter().filter(|(name, _)| travels(name));
        if kept().next().is_none() {
            return self.anonymous.clone();
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, origin)) = last.as_ref()
            && seen.iter().map(|(name, value)| (name, value)).eq(kept())
        {
            return origin.clone();
        }
        let origin = Arc::new(Origin::of(kept()));
        let seen = kept().map(|(name, value)| (name.clone(), value.clone())).collect();
        *last = Some((seen, origin.clone()));
        origin
    }
}
