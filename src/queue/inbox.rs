//! A lane's inbox: what waits for it, and its bell.
//!
//! Before a lane sleeps it says how many must wait for it to be woken (`pace.rs`). Whoever puts something in looks at
//! that number, which for a lane at work is out of reach, and wakes it once; or when what waits is much. Putting in
//! never blocks, but for the last of all; only the lane sleeps here, with its thread or as a task among others.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicUsize, fence};
use std::task::{Poll, Wake, Waker};
use std::thread::{self, Thread};

use atomic_waker::AtomicWaker;
use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded};

use super::Busy;
use super::lanes::Work;
use super::pace::{self, Rest};

/// Ends no sleep: there is none.
const AT_WORK: usize = usize::MAX;

/// The sending side.
#[derive(Clone, Debug)]
pub struct Inlet {
    work: Sender<Work>,
    bell: Arc<Bell>,
}

/// The lane's side.
#[derive(Debug)]
pub struct Inbox {
    work: Receiver<Work>,
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct Bell {
    /// How many must wait.
    ends_at: AtomicUsize,
    /// Bytes put in since the lane last began to sleep, or nearly.
    bytes: AtomicUsize,
    sleeper: AtomicWaker,
}

/// Both sides of an inbox with room for so many.
pub fn inbox(depth: usize) -> (Inlet, Inbox) {
    let (give, work) = bounded(depth);
    let bell = Arc::new(Bell { ends_at: AT_WORK.into(), bytes: 0.into(), sleeper: AtomicWaker::new() });
    (Inlet { work: give, bell: bell.clone() }, Inbox { work, bell })
}

impl Inlet {
    /// Puts in what can wait until the lane wakes up, of so many bytes, unless `now` it is to be woken for it alone.
    pub fn offer(&self, work: Work, bytes: usize, now: bool) -> Result<(), Busy> {
        self.work.try_send(work).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Busy,
        })?;
        let (ends_at, bytes) = (self.bell.ends_at(), self.bell.bytes.fetch_add(bytes, Relaxed) + bytes);
        if ends_at != AT_WORK && (now || bytes >= pace::MUCH || self.work.len() >= ends_at) {
            self.bell.ring();
        }
        Ok(())
    }

    /// Puts in what nothing comes after, and blocks while there is no room.
    pub fn end_with(&self, work: Work) {
        // A lane that is gone has ended already.
        if self.work.send(work).is_ok() {
            self.bell.ends_at();
            self.bell.ring();
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.work.len()
    }

    pub fn is_full(&self) -> bool {
        self.work.is_full()
    }

    /// How many more fit.
    pub fn room(&self) -> usize {
        self.work.capacity().map_or(usize::MAX, |depth| depth.saturating_sub(self.work.len()))
    }
}

impl Inbox {
    /// The next, if there is one.
    ///
    /// # Errors
    /// There is none now; or none will come any more.
    pub fn take(&self) -> Result<Work, TryRecvError> {
        self.work.try_recv()
    }

    pub fn is_empty(&self) -> bool {
        self.work.is_empty()
    }

    /// Sleeps with this thread, unless enough wait already. May end early.
    pub fn sleep(&self, rest: Rest) {
        self.bell.sleeper.register(&Waker::from(Arc::new(Unpark(thread::current()))));
        self.bell.lies_down(rest);
        if !self.is_over(rest) {
            thread::park_timeout(rest.lasts);
        }
        self.bell.ends_at.store(AT_WORK, SeqCst);
    }

    /// The same as a task: its thread goes on with others.
    pub async fn rest(&self, rest: Rest) {
        self.bell.lies_down(rest);
        let enough = poll_fn(|context| {
            self.bell.sleeper.register(context.waker());
            if self.is_over(rest) { Poll::Ready(()) } else { Poll::Pending }
        });
        // What ends it, so many or the time, is all the same.
        let _ = tokio::time::timeout(rest.lasts, enough).await;
        self.bell.ends_at.store(AT_WORK, SeqCst);
    }

    /// Whether somebody has rung, or has put in enough before the number was there to be seen. Asked once both the
    /// sleeper and the number are.
    fn is_over(&self, rest: Rest) -> bool {
        self.bell.ends_at() == AT_WORK || self.work.len() >= rest.ends_at
    }
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Bell {
    /// The lane wants to be woken for so many.
    fn lies_down(&self, rest: Rest) {
        self.bytes.store(0, Relaxed);
        self.ends_at.store(rest.ends_at, SeqCst);
    }

    /// How many end the sleep, as seen after something was put in.
    fn ends_at(&self) -> usize {
        fence(SeqCst);
        self.ends_at.load(SeqCst)
    }

    /// Wakes the lane, if it sleeps and nobody else does.
    fn ring(&self) {
        if self.ends_at.swap(AT_WORK, SeqCst) != AT_WORK {
            self.sleeper.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FOR_EVER: Duration = Duration::from_secs(3600);

    fn work() -> Work {
        Work::Show(0, bounded(0).0)
    }

    /// After which of so many offers, each of so many bytes, a lane that wants to be woken for so many is woken.
    fn check(ends_at: usize, (offers, bytes): (usize, usize), now: bool, expect: Option<usize>) {
        let (inlet, inbox) = inbox(64);
        inbox.bell.ends_at.store(ends_at, SeqCst);
        let woken = (1..=offers).find(|_| {
            inlet.offer(work(), bytes, now).unwrap();
            inbox.bell.ends_at.load(SeqCst) == AT_WORK
        });
        assert_eq!(woken, expect, "{ends_at} of {offers}");
    }

    #[test]
    fn a_lane_is_woken_by_as_many_as_it_said_by_much_or_by_one_that_can_not_wait() {
        check(1, (3, 0), false, Some(1));
        check(16, (20, 0), false, Some(16));
        check(16, (15, 0), false, None);
        check(16, (3, 0), true, Some(1));
        check(16, (15, pace::MUCH / 4), false, Some(4));
    }

    #[test]
    fn a_lane_is_never_left_asleep_over_what_waits() {
        const ALL: usize = 10_000;
        for ends_at in [1, 16] {
            let (inlet, inbox) = inbox(64);
            let lane = thread::spawn(move || {
                let mut taken = 0;
                loop {
                    match inbox.take() {
                        Ok(Work::Drain) => return taken,
                        Ok(_) => taken += 1,
                        Err(_) => inbox.sleep(Rest { lasts: FOR_EVER, ends_at }),
                    }
                }
            });
            for _ in 0..ALL {
                while inlet.offer(work(), 0, false).is_err() {
                    thread::yield_now();
                }
            }
            inlet.end_with(Work::Drain);
            assert_eq!(lane.join().unwrap(), ALL);
        }
    }

    #[tokio::test]
    async fn a_lane_that_sleeps_as_a_task_is_woken_by_those_beside_it() {
        let (inlet, inbox) = inbox(64);
        let offers = async {
            inlet.offer(work(), 0, false).unwrap();
            tokio::task::yield_now().await;
            inlet.offer(work(), 0, false).unwrap();
        };
        tokio::join!(inbox.rest(Rest { lasts: FOR_EVER, ends_at: 2 }), offers);
        assert_eq!(inbox.bell.ends_at.load(SeqCst), AT_WORK);
        inbox.rest(Rest { lasts: FOR_EVER, ends_at: 2 }).await;
        inbox.rest(Rest { lasts: Duration::from_millis(1), ends_at: 3 }).await;
    }
}
