//! More than goes out, for a minute: what Spandrel holds, what it tells callers, and that it comes back.
//!
//! A container of 64 MiB gives it a quarter of that to hold (`memory`); the rest is the program, its allocator and
//! what is on its way. So `memory` is 16 MiB here, and free pages go back at once, as in such a container.

use std::net::SocketAddr;
use std::time::Duration;

use crate::bench::Bench;
use crate::caller::Transport;
use crate::common::Content;
use crate::load::{Load, Pace, Sender};
use crate::mark::Verdict;
use crate::ours;
use crate::program::{Program, free_port};
use crate::rows::Findings;
use crate::sent::Sent;
use crate::sink::{Sink, Wanted};

const LOAD: Load = Load {
    transport: Transport::Grpc,
    content: Content::Services,
    gzip: false,
    pace: Pace::Steady { items: OFFERED },
};
const LIMIT_MIB: f64 = 64.0;
const CONFIGURATION: &str = "memory: 16MiB";
const RETURNS_AT_ONCE: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "0");
/// Spans a second that the upstream takes, and that callers offer.
const TAKEN: u64 = 50_000;
const OFFERED: u64 = 2 * TAKEN;
const WHILE_DOWN: u64 = 20_000;
/// Longer than any pause between attempts.
const SILENCE: Duration = Duration::from_secs(15);
const AFTERWARDS: Duration = Duration::from_secs(3);

/// Twice what the upstream takes.
pub fn overload(bench: &Bench, what: &'static str) -> Findings {
    bench.runtime.block_on(async {
        let sink = Sink::start(Wanted { pace: Some(TAKEN), ..Wanted::of(LOAD.content) }).await;
        let program = start(sink.address()).await;
        let sender = Sender::new(LOAD, 0);
        let sent = sender.steady(program.address, OFFERED, bench.minute).await;
        sink.hurry();
        let after = recovered(&sender, &program, &sink, &sent).await;
        judged(what, &program, &sent, &after, &sink, "every call of the next three seconds is taken")
    })
}

/// An upstream that is not there.
pub fn down(bench: &Bench, what: &'static str) -> Findings {
    bench.runtime.block_on(async {
        let address = free_port();
        let program = start(address).await;
        let sender = Sender::new(LOAD, 0);
        let sent = sender.steady(program.address, WHILE_DOWN, bench.minute).await;
        let sink = Sink::start_at(address, Wanted::of(LOAD.content)).await;
        let after = recovered(&sender, &program, &sink, &sent).await;
        judged(what, &program, &sent, &after, &sink, "all of it is delivered once the upstream is there")
    })
}

async fn start(sink: SocketAddr) -> Program {
    ours::spawn(&LOAD, sink, CONFIGURATION, &[RETURNS_AT_ONCE]).ready().await
}

/// Once what was taken has arrived, callers are taken as ever.
async fn recovered(sender: &std::sync::Arc<Sender>, program: &Program, sink: &Sink, sent: &Sent) -> Sent {
    sink.wait_for(sent.taken, SILENCE).await;
    let after = sender.steady(program.address, WHILE_DOWN, AFTERWARDS).await;
    sink.wait_for(sent.taken + after.taken, SILENCE).await;
    after
}

fn judged(
    what: &'static str,
    program: &Program,
    sent: &Sent,
    after: &Sent,
    sink: &Sink,
    recovers: &str,
) -> Findings {
    let (peak, arrived) = (program.peak_rss_mib(), sink.seen().items);
    let taken = sent.taken + after.taken;
    let requests = sent.requests + sent.later + sent.refused;
    let other = sent.first_refusal.as_deref().unwrap_or("none");
    let told = format!(
        "{} of {requests} requests told UNAVAILABLE, {} answered otherwise ({other}), {} held back",
        sent.later, sent.refused, sent.held_back
    );
    let delivered = format!(
        "{arrived} of {taken} delivered, {} of the calls afterwards refused",
        after.later + after.refused
    );
    let verdict =
        |mark: &str, measured: String, met| Verdict { what, mark: mark.to_owned(), measured, met: Some(met) };
    Findings {
        said: vec![format!(
            "{what} ({CONFIGURATION}, a quarter of it): peak {peak:.0} MiB; {told}; {delivered}"
        )],
        verdicts: vec![
            Verdict::at_most(
                what,
                format!("resident ≤ {LIMIT_MIB} MiB"),
                peak,
                format!("{peak:.0}"),
                LIMIT_MIB,
            ),
            verdict(
                "callers are told UNAVAILABLE and nothing else",
                told,
                sent.later > 0 && sent.refused == 0,
            ),
            verdict(
                &format!("nothing taken is lost, and {recovers}"),
                delivered,
                arrived == taken && after.later + after.refused + after.held_back == 0,
            ),
        ],
    }
}
