//! Scores that can not be posted: each has an outcome, and nothing is held after it.

use ::http::HeaderValue;
use tokio::net::TcpListener;

use super::super::scores;
use super::*;
use crate::queue::scores::Scores;
use crate::semantics::Dialect;

struct Posting {
    scores: Scores,
    poster: JoinHandle<()>,
    budget: Arc<Budget>,
    meters: Arc<Meters>,
    give_up: CancellationToken,
}

impl Posting {
    fn to(port: u16, give_up_after: Duration) -> Self {
        let mut upstream = Settings {
            protocol: Protocol::HttpProtobuf,
            base: Some(format!("http://127.0.0.1:{port}/").parse().unwrap()),
            lent: Some(HeaderValue::from_static("Basic ours")),
            ..settings(port)
        };
        upstream.retry.give_up = give_up_after;
        let (budget, meters, give_up) =
            (Budget::new(64 << 10), Arc::new(Meters::new()), CancellationToken::new());
        let started =
            scores(&upstream, Dialect::InteractiveAi, &budget, &meters, Clock::new(), give_up.clone());
        let (scores, poster) = started.unwrap().unwrap();
        Self { scores, poster, budget, meters, give_up }
    }

    fn offer(&self, count: usize) {
        (0..count).for_each(|_| self.scores.offer(&Origin::anonymous(), vec![b' '; 200]));
    }

    /// Waits for the end of it; how many had each outcome.
    async fn end<const N: usize>(self, outcomes: [&str; N]) -> [u64; N] {
        let Self { scores, poster, budget, meters, .. } = self;
        drop(scores);
        poster.await.unwrap();
        assert_eq!(budget.used(), 0, "all memory is paid back");
        outcomes.map(|outcome| meters.scores.with_label_values(&[outcome]).get())
    }
}

#[tokio::test]
async fn what_does_not_fit_is_lost_and_what_waits_at_the_end_is_too() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let posting = Posting::to(silent.local_addr().unwrap().port(), Duration::from_secs(60));
    posting.offer(100);
    assert!(posting.budget.used() <= 4 << 10, "a sixteenth of all at most");
    posting.give_up.cancel();
    let [full, shutdown] = posting.end(["queue_full", "shutdown"]).await;
    assert!(full > 50 && shutdown > 5 && full + shutdown == 100, "{full} {shutdown}");
}

#[tokio::test]
async fn a_score_is_given_up_after_as_long_as_a_batch_would_be() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let posting = Posting::to(gone, Duration::from_millis(100));
    posting.offer(3);
    assert_eq!(posting.end(["gave_up", "sent"]).await, [3, 0]);
}

#[tokio::test]
async fn keys_of_no_project_are_refused_and_no_path_is_made_of_what_is_none() {
    for said in ["{\"data\":[]}", "{}", "{\"data\":[{\"id\":\"../x\",\"orgId\":\"o\"}]}"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let posting = Posting::to(listener.local_addr().unwrap().port(), Duration::from_secs(60));
        posting.offer(1);
        let answer = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut heard = vec![0; 4096];
            let len = tokio::io::AsyncReadExt::read(&mut socket, &mut heard).await.unwrap();
            let heard = String::from_utf8_lossy(&heard[..len]).into_owned();
            assert!(heard.starts_with("GET /api/platform/v1/projects "), "{heard}");
            assert!(heard.to_lowercase().contains("authorization: basic ours"), "{heard}");
            let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{said}", said.len());
            tokio::io::AsyncWriteExt::write_all(&mut socket, reply.as_bytes()).await.unwrap();
            socket
        };
        let (_socket, ended) = tokio::join!(answer, posting.end(["refused"]));
        assert_eq!(ended, [1], "{said}");
    }
}
