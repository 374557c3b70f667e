//! Runs the lines, says what was found, and judges the run.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinSet;

use crate::backend::Backend;
use crate::check::{Check, Finding, How, Otherwise};
use crate::options::Options;
use crate::peer::Peer;
use crate::table;
use crate::{client, grpc, http, json, protobuf, server, survive};

/// A chapter of the list: its title, the file that asks, and its lines.
pub const SECTIONS: &[(&str, &str, &[Check])] = &[
    ("Server, on either transport", "server.rs", server::CHECKS),
    ("Server over gRPC", "grpc.rs", grpc::CHECKS),
    ("Server over HTTP", "http.rs", http::CHECKS),
    ("JSON", "json.rs", json::CHECKS),
    ("Client", "client.rs", client::CHECKS),
    ("Data that must survive", "survive.rs", survive::CHECKS),
    ("Protobuf", "protobuf.rs", protobuf::CHECKS),
];

/// Lines that our own program does not meet yet.
pub const NOT_YET: &[&str] = &[];

/// What was found, by id.
pub type Findings = BTreeMap<&'static str, Finding>;

/// Runs what was asked for; true when all is as it should be.
pub async fn run(options: Options) -> bool {
    let checks: Vec<Check> = SECTIONS.iter().flat_map(|(_, _, checks)| *checks).copied().collect();
    let wanted =
        |id: &str| options.only.is_empty() || options.only.iter().any(|only| id.starts_with(only.as_str()));
    let chosen: Vec<Check> = checks.into_iter().filter(|check| wanted(check.id)).collect();
    if options.list {
        chosen.iter().for_each(|check| println!("{}: {}", check.id, check.says));
        return true;
    }
    if chosen.is_empty() {
        return true;
    }
    // A check that panics is a finding, and is shown as one.
    std::panic::set_hook(Box::new(|_| {}));
    match options.is_stranger() {
        true => ask_stranger(options, &chosen).await,
        false => ask_ourselves(options, &chosen).await,
    }
}

async fn ask_stranger(options: Options, chosen: &[Check]) -> bool {
    let name = options.name.unwrap_or_else(|| "the peer".into());
    let backend = match options.client_listen {
        Some(address) => Some(Arc::new(Backend::listen(address).await)),
        None => None,
    };
    let (grpc, http) = (options.grpc, options.http);
    let peer = Peer { name, grpc, http, backend, own: None, spoken: OnceCell::new() };
    // One at a time: a client that waits for one check would make another wait.
    let peer = Arc::new(peer);
    let findings = ask(&peer, chosen, 1).await;
    if let Some(path) = options.results {
        table::keep(&path, &peer.name, &findings).expect("a file to write results to");
    }
    true
}

async fn ask_ourselves(options: Options, chosen: &[Check]) -> bool {
    let missing = table::missing_tests(chosen);
    for test in &missing {
        println!("no test is called {test:?}, but the table names it");
    }
    let findings = ask(&Arc::new(Peer::own().await), chosen, 6).await;
    let wrong = wrong(chosen, &findings);
    for line in &wrong {
        println!("{line}");
    }
    let is_whole = options.only.is_empty();
    let fresh = !is_whole || table::compare_or_write(&findings, options.write);
    missing.is_empty() && wrong.is_empty() && fresh
}

/// Asks these lines, some at once, and prints each as it is found.
async fn ask(peer: &Arc<Peer>, chosen: &[Check], at_once: usize) -> Findings {
    println!("{} lines of {}", chosen.len(), peer.name);
    let places = Arc::new(Semaphore::new(at_once));
    let mut asking = JoinSet::new();
    for check in chosen.iter().copied() {
        let (peer, places) = (peer.clone(), places.clone());
        asking.spawn(async move {
            let _place = places.acquire_owned().await;
            (check, check.run(peer).await)
        });
    }
    let mut findings = Findings::new();
    while let Some(asked) = asking.join_next().await {
        let (check, finding) = asked.expect("a check's panic is caught where it runs");
        if matches!(check.how, How::Ask(..)) {
            println!("{:6} {:14} {} {}", check.id, finding.word(), check.says, because(&finding));
        }
        findings.insert(check.id, finding);
    }
    findings
}

fn because(finding: &Finding) -> String {
    match finding.why() {
        "" => String::new(),
        why => format!("({why})"),
    }
}

/// What is wrong with our own findings. The list of what does not hold yet must not outlive its reason.
fn wrong(chosen: &[Check], findings: &Findings) -> Vec<String> {
    let mut wrong = Vec::new();
    for Check { id, says, .. } in chosen {
        let expected = NOT_YET.contains(id);
        match &findings[id] {
            Finding::Otherwise(Otherwise::DoesNot(why)) if !expected => {
                wrong.push(format!("{id} does not hold: {says}\n    but {why}"));
            }
            Finding::Holds if expected => println!("{id} holds now: take it off NOT_YET in run.rs"),
            _ => {}
        }
    }
    wrong
}
