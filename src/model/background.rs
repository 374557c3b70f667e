//! Tasks that are begun now and then: connections, listeners, whoever waits for something.
//!
//! The runtime has its code once for each kind of future and for each of its two schedulers. In a box they are of one
//! kind. What is begun for each request is not boxed.

use std::pin::Pin;

use tokio::task::JoinHandle;

/// A future of any kind.
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Begins `work` on the runtime we are in, as `tokio::spawn` does.
pub fn background<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    let work: Boxed<T> = Box::pin(work);
    tokio::spawn(work)
}
