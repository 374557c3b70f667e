//! What a check is: one line of the conformance list, asked of a peer, with one of four findings.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::peer::Peer;

/// A check that has found nothing by then has found a peer that does not answer.
const CHECK_MAX: Duration = Duration::from_secs(90);

/// How binding a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Must,
    Should,
    May,
    /// Stated without a keyword, or by what OTLP is built on: gRPC, HTTP, protobuf and its JSON mapping.
    Spec,
    /// Nobody's rule: what Spandrel holds itself to.
    Ours,
}

/// One line.
#[derive(Clone, Copy)]
pub struct Check {
    pub id: &'static str,
    pub level: Level,
    /// What the peer does when the line holds, in one sentence without its subject.
    pub says: &'static str,
    pub how: How,
    /// Tests of this repository that show what can not be seen from outside.
    pub inside: &'static [&'static str],
}

/// How a line is looked into.
#[derive(Clone, Copy)]
pub enum How {
    /// By this function, of any peer.
    Ask(&'static str, fn(Arc<Peer>) -> Asking),
    /// From outside it can not be.
    Inside,
}

/// A check under way.
pub type Asking = Pin<Box<dyn Future<Output = Seen> + Send>>;

/// What a check returns: nothing when the line holds.
pub type Seen = Result<(), Otherwise>;

/// Why a line does not simply hold, in words for the reader of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Otherwise {
    DoesNot(String),
    NotApplicable(String),
    NotObservable(String),
}

/// What became of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    Holds,
    Otherwise(Otherwise),
}

impl Level {
    pub const ALL: [Level; 5] = [Level::Must, Level::Should, Level::May, Level::Spec, Level::Ours];

    pub const fn name(self) -> &'static str {
        match self {
            Level::Must => "MUST",
            Level::Should => "SHOULD",
            Level::May => "MAY",
            Level::Spec => "spec",
            Level::Ours => "ours",
        }
    }
}

impl Finding {
    /// As written into results and shown on the terminal.
    pub const fn word(&self) -> &'static str {
        match self {
            Finding::Holds => "holds",
            Finding::Otherwise(Otherwise::DoesNot(_)) => "does not",
            Finding::Otherwise(Otherwise::NotApplicable(_)) => "not applicable",
            Finding::Otherwise(Otherwise::NotObservable(_)) => "not observable",
        }
    }

    /// What was seen, where that needs saying.
    pub fn why(&self) -> &str {
        match self {
            Finding::Holds => "",
            Finding::Otherwise(
                Otherwise::DoesNot(why) | Otherwise::NotApplicable(why) | Otherwise::NotObservable(why),
            ) => why,
        }
    }

    /// The opposite of `word` and `why`; `None` for a word that means nothing.
    pub fn read(word: &str, why: &str) -> Option<Self> {
        let why = why.to_owned();
        Some(match word {
            "holds" => Finding::Holds,
            "does not" => Finding::Otherwise(Otherwise::DoesNot(why)),
            "not applicable" => Finding::Otherwise(Otherwise::NotApplicable(why)),
            "not observable" => Finding::Otherwise(Otherwise::NotObservable(why)),
            _ => return None,
        })
    }
}

impl Check {
    /// Runs the check within its time. A panic in it is a finding: somebody did not answer as agreed.
    pub async fn run(&self, peer: Arc<Peer>) -> Finding {
        let How::Ask(_, ask) = self.how else {
            return Finding::Otherwise(Otherwise::NotObservable("nothing of it leaves the process".into()));
        };
        let asking = tokio::spawn(ask(peer));
        let abort = asking.abort_handle();
        match tokio::time::timeout(CHECK_MAX, asking).await {
            Ok(Ok(Ok(()))) => Finding::Holds,
            Ok(Ok(Err(otherwise))) => Finding::Otherwise(otherwise),
            Ok(Err(panic)) => Finding::Otherwise(Otherwise::DoesNot(panicked(panic))),
            Err(_) => {
                abort.abort();
                Finding::Otherwise(Otherwise::DoesNot(format!("nothing was seen within {CHECK_MAX:?}")))
            }
        }
    }
}

fn panicked(panic: tokio::task::JoinError) -> String {
    let Ok(panic) = panic.try_into_panic() else { return "the check was given up".into() };
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into())).unwrap_or_default()
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The line does not hold, and this was seen.
pub fn does_not(why: impl Into<String>) -> Otherwise {
    Otherwise::DoesNot(why.into())
}

pub fn not_applicable(why: impl Into<String>) -> Otherwise {
    Otherwise::NotApplicable(why.into())
}

pub fn not_observable(why: impl Into<String>) -> Otherwise {
    Otherwise::NotObservable(why.into())
}

/// Goes on if the condition holds; else ends the check with what was seen.
macro_rules! holds {
    ($condition:expr, $($seen:tt)+) => {
        if !$condition {
            return Err(crate::check::does_not(format!($($seen)+)));
        }
    };
}

/// A line that a function looks into, and what inside tests show beside it.
macro_rules! line {
    ($id:literal, $level:ident, $says:literal, $ask:ident $(, inside: $($test:literal),+)?) => {
        crate::check::Check {
            id: $id,
            level: crate::check::Level::$level,
            says: $says,
            how: crate::check::How::Ask(stringify!($ask), |peer| Box::pin($ask(peer))),
            inside: &[$($($test),+)?],
        }
    };
}

/// A line that only tests of this repository show.
macro_rules! inside {
    ($id:literal, $level:ident, $says:literal, $($test:literal),+) => {
        crate::check::Check {
            id: $id,
            level: crate::check::Level::$level,
            says: $says,
            how: crate::check::How::Inside,
            inside: &[$($test),+],
        }
    };
}

pub(crate) use {holds, inside, line};
