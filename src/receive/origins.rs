//! Remembers a connection's last origin: an SDK sends the same headers with every export, and so what rules ask
//! of its requests is the same too.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::credentials::Shown;
use crate::model::{Caller, Noting, Origin};

/// The kept headers of a request as they came, and what they mean.
type Seen = (Vec<(HeaderName, HeaderValue)>, Arc<Origin>);

/// One connection's memory of one origin.
#[derive(Debug)]
pub struct Origins {
    anonymous: Arc<Origin>,
    last: Mutex<Option<Seen>>,
    /// The other side's address.
    peer: Option<IpAddr>,
    /// The last one of which something was asked.
    noted: Mutex<Option<Arc<Origin>>>,
}

impl Origins {
    pub fn new(anonymous: Arc<Origin>, peer: Option<IpAddr>) -> Self {
        Self { anonymous, last: Mutex::new(None), peer, noted: Mutex::new(None) }
    }

    /// The origin of a request with these headers, and what is asked of it.
    pub fn of(&self, headers: &HeaderMap, shown: Shown, noting: &Noting) -> Arc<Origin> {
        let plain = self.plain(headers, shown);
        let Some(asked) = noting.asked() else { return plain };
        let caller = Caller::of(&asked, headers, self.peer, plain);
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = noted.as_ref().filter(|known| known.caller.as_deref() == Some(&caller)) {
            return known.clone();
        }
        noted.insert(Arc::new(Origin::with(caller))).clone()
    }

    /// What of it travels. Allocates only when the headers differ from the last ones. What let the caller in with
    /// us is not the upstream's to see.
    fn plain(&self, headers: &HeaderMap, shown: Shown) -> Arc<Origin> {
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
