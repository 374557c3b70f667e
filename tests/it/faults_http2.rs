//! Faults F34 and F35: HTTP/2 used against its server, by frames no library would write.
//!
//! Each attack runs on several connections for as long as it is let, while another caller exports. The
//! outcome is the same for all: the attacker's connection is closed or kept waiting, the other caller is
//! served, and memory stays where it was.

use std::net::SocketAddr;
use std::time::Duration;

use spandrel::wire::Signal;

use crate::harness::bystander::Bystander;
use crate::harness::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Ending, Frames, HEADERS, NEWEST, PING,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, literal, post, remembered,
};
use crate::harness::known_set::LABELS;
use crate::harness::{Proxy, Upstream};

const MIB: usize = 1 << 20;
/// Attackers at once.
const ATTACKERS: usize = 4;
/// What one attack may cost in memory: the connections' own buffers and the allocator's slack.
const GROWTH_MAX: usize = 24 * MIB;
/// An attack that is not ended by the server ends by itself.
const LASTING: Duration = Duration::from_secs(2);

/// Attacks, and holds to the outcome that all attacks have; returns how it ended for each attacker.
async fn under_attack<F>(attack: impl Fn(SocketAddr) -> F) -> Vec<Ending>
where
    F: Future<Output = Ending> + Send + 'static,
{
    under_attack_with("", attack).await
}

async fn under_attack_with<F>(config: &str, attack: impl Fn(SocketAddr) -> F) -> Vec<Ending>
where
    F: Future<Output = Ending> + Send + 'static,
{
    let upstream = Upstream::start().await;
    let config = format!("upstream: {}\njoin: {{idle: 300ms}}\n{config}{LABELS}", upstream.endpoint());
    let proxy = Proxy::with(config).await;
    Bystander::of(&proxy).assert_served().await;
    let before = proxy.resident();

    let bystander = Bystander::of(&proxy);
    let attackers: Vec<_> = (0..ATTACKERS).map(|_| tokio::spawn(attack(proxy.grpc()))).collect();
    let mut endings = Vec::new();
    for attacker in attackers {
        endings.push(attacker.await.expect("an attacker panicked; see above"));
    }
    let served = bystander.assert_served().await;
    let grown = proxy.resident_max().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{} MiB more resident; {endings:?}", grown / MIB);
    let ledger = proxy.await_settled(Signal::Traces, "default").await;
    assert!(ledger.delivered >= served.spans && ledger.lost == 0, "{ledger:?}");
    assert!(proxy.stop().await.success());
    endings
}

fn is_told_to_calm_down(endings: &[Ending]) {
    let told = |ending: &Ending| ending.closed && ending.goaway == Some(ENHANCE_YOUR_CALM);
    assert!(endings.iter().all(told), "{endings:?}");
}

/// The numbers of a client's streams.
fn streams() -> impl FnMut() -> u32 {
    let mut next = 1;
    move || {
        next += 2;
        next - 2
    }
}

fn export() -> Vec<u8> {
    post(Signal::Traces.http_path(), "application/x-protobuf")
}

/// CVE-2023-44487: streams opened and reset at once.
#[tokio::test]
async fn f34_rapid_reset_ends_the_connection() {
    let endings = under_attack(async |address| {
        let (mut stream, head) = (streams(), export());
        let burst = move || {
            let one = |id| {
                [frame(HEADERS, END_HEADERS, id, &head), frame(RST_STREAM, 0, id, &[0, 0, 0, 8])].concat()
            };
            (0..100).flat_map(|_| one(stream())).collect()
        };
        Frames::to(address).await.flood(LASTING, true, burst).await
    });
    is_told_to_calm_down(&endings.await);
}

/// CVE-2025-8671, "MadeYouReset": streams that the server has to reset, because the client breaks a rule
/// on them after its request is whole: here a window larger than there can be.
#[tokio::test]
async fn f34_made_you_reset_ends_the_connection() {
    let endings = under_attack(async |address| {
        let (mut stream, head) = (streams(), export());
        let burst = move || {
            let one = |id| {
                let whole = frame(HEADERS, END_HEADERS | END_STREAM, id, &head);
                [whole, frame(WINDOW_UPDATE, 0, id, &[0x7f, 0xff, 0xff, 0xff])].concat()
            };
            (0..100).flat_map(|_| one(stream())).collect()
        };
        Frames::to(address).await.flood(LASTING, true, burst).await
    });
    is_told_to_calm_down(&endings.await);
}

/// CVE-2024-27316: a head that never ends.
#[tokio::test]
async fn f34_a_continuation_flood_ends_the_connection() {
    let endings = under_attack(async |address| {
        let mut frames = Frames::to(address).await;
        frames.write(&frame(HEADERS, 0, 1, &export())).await;
        let piece = frame(CONTINUATION, 0, 1, &literal("x-more", "of the same"));
        frames.flood(LASTING, true, move || piece.repeat(100)).await
    });
    is_told_to_calm_down(&endings.await);
}

/// The same with nothing in the frames, so that no limit of size is ever reached.
#[tokio::test]
async fn f34_a_flood_of_empty_continuations_ends_the_connection() {
    let endings = under_attack(async |address| {
        let mut frames = Frames::to(address).await;
        frames.write(&frame(HEADERS, 0, 1, &export())).await;
        let piece = frame(CONTINUATION, 0, 1, &[]);
        frames.flood(LASTING, true, move || piece.repeat(100)).await
    });
    is_told_to_calm_down(&endings.await);
}

/// RUSTSEC-2026-0258: DATA frames of nothing.
#[tokio::test]
async fn f34_a_flood_of_empty_data_frames_ends_the_connection() {
    let endings = under_attack(async |address| {
        let mut frames = Frames::to(address).await;
        frames.write(&frame(HEADERS, END_HEADERS, 1, &export())).await;
        let piece = frame(DATA, 0, 1, &[]);
        frames.flood(LASTING, true, move || piece.repeat(1000)).await
    });
    is_told_to_calm_down(&endings.await);
}

/// Each has to be answered: to one who reads the answers, it is work and no more; one who does not is not read.
#[tokio::test]
async fn f34_floods_of_pings_and_settings_take_no_memory() {
    for (kind, payload) in [(PING, vec![7; 8]), (SETTINGS, vec![0, 3, 0, 0, 0, 9])] {
        for reads in [true, false] {
            let piece = frame(kind, 0, 0, &payload);
            let endings = under_attack(move |address| {
                let piece = piece.clone();
                async move {
                    let lasting = Duration::from_millis(700);
                    Frames::to(address).await.flood(lasting, reads, move || piece.repeat(1000)).await
                }
            });
            let endings = endings.await;
            assert!(endings.iter().all(|ending| ending.taken > 0), "{endings:?}");
        }
    }
}

/// A peer that gives no window for the replies: they wait for it, as many as there may be streams, and
/// when nothing has moved for `timeouts.idle` the connection is closed.
#[tokio::test]
async fn f34_a_zero_window_stalls_nobody_else_and_is_closed() {
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let config = "receive: {grpc: \"127.0.0.1:0\", http: \"127.0.0.1:0\", timeouts: {idle: 500ms}}\nadmin: \"127.0.0.1:0\"\n";
    let endings = under_attack_with(config, async |address| {
        let mut frames = Frames::with(address, &[(INITIAL_WINDOW_SIZE, 0)]).await;
        let (mut stream, head) = (streams(), post("/nothing", "application/x-protobuf"));
        // Twice as many as there may be at once; 404 has a body that waits for the window.
        for _ in 0..512 {
            frames.write(&frame(HEADERS, END_HEADERS | END_STREAM, stream(), &head)).await;
        }
        frames.ending().await
    });
    let endings = endings.await;
    assert!(endings.iter().all(|ending| ending.closed && ending.resets >= 200), "{endings:?}");
}

/// 1 MiB of headers, and a few bytes that stand for 4 MiB of them.
#[tokio::test]
async fn f35_a_header_bomb_is_refused() {
    let plain: Vec<u8> = (0..64).flat_map(|_| literal("x-bomb", &"x".repeat(16 * 1024))).collect();
    let packed = [remembered("x-bomb", &"x".repeat(4000)), vec![NEWEST; 1000]].concat();
    for fields in [plain, packed] {
        let head = [export(), fields].concat();
        let endings = under_attack(move |address| {
            let head = head.clone();
            async move {
                let mut frames = Frames::to(address).await;
                let mut pieces = head.chunks(16 * 1024).peekable();
                let mut kind = HEADERS;
                while let Some(piece) = pieces.next() {
                    let last = if pieces.peek().is_none() { END_HEADERS } else { 0 };
                    let end = if kind == HEADERS { END_STREAM } else { 0 };
                    if !frames.write(&frame(kind, last | end, 1, piece)).await {
                        break;
                    }
                    kind = CONTINUATION;
                }
                refusal(frames).await
            }
        });
        let endings = endings.await;
        let refused = |ending: &Ending| ending.goaway.is_some() || ending.resets > 0;
        assert!(endings.iter().all(refused), "{endings:?}");
    }
}

/// Reads until it is refused: a reset or a 431 on the stream, or the end of the connection.
async fn refusal(mut frames: Frames) -> Ending {
    const STATUS_431: &[u8] = b"431";
    loop {
        match frames.next().await {
            Some(frame) if frame.kind == RST_STREAM => return Ending { resets: 1, ..Ending::default() },
            // Its only header is `:status`, its value plain or Huffman coded.
            Some(frame) if frame.kind == HEADERS => {
                let is_431 =
                    frame.payload.windows(3).any(|text| text == STATUS_431) || frame.payload.len() < 8;
                assert!(is_431, "{frame:?}");
                return Ending { resets: 1, ..Ending::default() };
            }
            Some(frame) if frame.kind == crate::harness::frames::GOAWAY => {
                return Ending { goaway: Some(0), ..Ending::default() };
            }
            Some(_) => {}
            None => return Ending { goaway: Some(0), closed: true, ..Ending::default() },
        }
    }
}
