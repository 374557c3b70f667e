//! The addresses of one name, as they are now: asked for in the background, never waited for by a call that
//! has a connection.
//!
//! The system's resolver does not say how long an answer holds, so the name is asked for again whenever a
//! connection is opened, and every [`ASK_EVERY`] while calls are made; a connection to an address that is
//! no longer among the answers is replaced. Only one question is open at a time, however slow the name
//! server. When it does not answer, or says there is no such name, the last known addresses are tried: a
//! broken name server must not stop what works.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::model::background;

/// Less than the 30 s in which a moved upstream is to be found.
const ASK_EVERY: Duration = Duration::from_secs(20);
/// With addresses at hand, a new answer is waited for no longer.
const STALE_AFTER: Duration = Duration::from_secs(2);

type Answer = Result<Vec<SocketAddr>, String>;
type Asking = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Finds the addresses of a host and port.
#[derive(Clone)]
pub(super) struct Resolver(Arc<dyn Fn(String, u16) -> Asking + Send + Sync>);

impl Resolver {
    /// The system's.
    pub fn system() -> Self {
        Self::new(|host, port| async move {
            let found = tokio::net::lookup_host((host.as_str(), port)).await;
            found.map(Iterator::collect).map_err(|error| error.to_string())
        })
    }

    pub fn new<F: Future<Output = Answer> + Send + 'static>(
        ask: impl Fn(String, u16) -> F + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |host, port| Box::pin(ask(host, port))))
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

/// What is known of one name.
#[derive(Debug)]
pub(super) struct Names {
    host: String,
    port: u16,
    resolver: Resolver,
    state: Mutex<State>,
    answered: Notify,
}

#[derive(Debug, Default)]
struct State {
    known: Vec<SocketAddr>,
    /// What the last question came to, if it failed.
    failed: Option<String>,
    /// When the open question, or the last one, was put.
    asked: Option<Instant>,
    is_asking: bool,
    answers: u64,
}

impl Names {
    pub fn new(host: String, port: u16, resolver: Resolver) -> Arc<Self> {
        Arc::new(Self { host, port, resolver, state: Mutex::default(), answered: Notify::new() })
    }

    /// Addresses to connect to, asked for anew.
    ///
    /// # Errors
    /// Why there are none, in words.
    pub async fn addresses(self: &Arc<Self>) -> Answer {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let has_some = !self.state().known.is_empty();
        if has_some {
            // The last answer will do when this one does not come.
            let _ = timeout(STALE_AFTER, self.answer()).await;
        } else {
            self.answer().await;
        }
        let state = self.state();
        match (&state.known[..], &state.failed) {
            ([], Some(why)) => Err(format!("`{}` can not be resolved: {why}", self.host)),
            ([], None) => Err(format!("`{}` has no address", self.host)),
            (known, _) => Ok(known.to_vec()),
        }
    }

    /// Whether the name still stands for `peer`, as far as is known; asks again when that is long ago.
    pub fn still(self: &Arc<Self>, peer: SocketAddr) -> bool {
        let state = self.state();
        let (stands, asked) = (state.known.is_empty() || state.known.contains(&peer), state.asked);
        drop(state);
        if asked.is_some_and(|asked| asked.elapsed() >= ASK_EVERY) {
            self.ask();
        }
        stands
    }

    /// Waits for the answer to a question put now, or open already.
    async fn answer(self: &Arc<Self>) {
        let before = self.state().answers;
        self.ask();
        loop {
            let answered = self.answered.notified();
            tokio::pin!(answered);
            answered.as_mut().enable();
            if self.state().answers != before {
                return;
            }
            answered.await;
        }
    }

    fn ask(self: &Arc<Self>) {
        {
            let mut state = self.state();
            if std::mem::replace(&mut state.is_asking, true) {
                return;
            }
            state.asked = Some(Instant::now());
        }
        let names = self.clone();
        background(async move {
            let asking = (names.resolver.0)(names.host.clone(), names.port);
            let answer = asking.await;
            let mut state = names.state();
            state.is_asking = false;
            state.answers += 1;
            match answer {
                Ok(found) if !found.is_empty() => (state.known, state.failed) = (found, None),
                Ok(_) => state.failed = None,
                Err(why) => state.failed = Some(why),
            }
            drop(state);
            names.answered.notify_waiters();
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 4317))
    }

    /// Answers as `script` says, and counts the questions.
    fn names(script: impl Fn(usize) -> Answer + Send + Sync + 'static) -> (Arc<Names>, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let script = Arc::new(script);
        let resolver = Resolver::new(move |_, _| {
            let (number, script) = (count.fetch_add(1, Ordering::SeqCst), script.clone());
            async move { script(number) }
        });
        (Names::new("gateway.test".to_owned(), 4317, resolver), asked)
    }

    async fn until(done: impl Fn() -> bool) {
        while !done() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn f24_a_moved_name_is_noticed_within_thirty_seconds_and_no_call_waits_for_it() {
        let (names, asked) = names(|number| Ok(vec![at(if number == 0 { 1 } else { 2 })]));
        assert_eq!(names.addresses().await, Ok(vec![at(1)]));
        assert!(names.still(at(1)));
        tokio::time::advance(Duration::from_secs(19)).await;
        assert!(names.still(at(1)));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(names.still(at(1)), "the question is put, not waited for");
        until(|| names.state().answers == 2).await;
        assert!(!names.still(at(1)));
        assert!(names.still(at(2)));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn f24_a_name_that_is_gone_leaves_its_last_addresses() {
        let (names, _) =
            names(|number| if number == 0 { Ok(vec![at(1)]) } else { Err("no such name".into()) });
        assert_eq!(names.addresses().await, Ok(vec![at(1)]));
        assert_eq!(names.addresses().await, Ok(vec![at(1)]));
        assert!(names.still(at(1)));
    }

    #[tokio::test]
    async fn f24_a_name_that_never_was_says_why() {
        let (unknown, _) = names(|_| Err("no such name".into()));
        let why = unknown.addresses().await.unwrap_err();
        assert_eq!(why, "`gateway.test` can not be resolved: no such name");
        let (empty, _) = names(|_| Ok(Vec::new()));
        assert_eq!(empty.addresses().await.unwrap_err(), "`gateway.test` has no address");
    }

    #[tokio::test(start_paused = true)]
    async fn f24_a_resolver_that_hangs_is_asked_once_and_the_last_answer_used() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let resolver = Resolver::new(move |_, _| {
            let number = count.fetch_add(1, Ordering::SeqCst);
            async move {
                if number > 0 {
                    std::future::pending::<()>().await;
                }
                Ok(vec![at(1)])
            }
        });
        let names = Names::new("gateway.test".to_owned(), 4317, resolver);
        for _ in 0..5 {
            assert_eq!(names.addresses().await, Ok(vec![at(1)]));
        }
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(names.still(at(1)));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}
