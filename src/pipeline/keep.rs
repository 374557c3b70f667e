//! The upstream of a laptop: nobody. Batches settle here; joined traces were shown as they left.

use std::sync::Arc;

use crate::queue::Outbox;
use crate::telemetry::Meters;
use crate::wire::Signal;

/// The `upstream` label where nothing is forwarded.
pub const PAGE: &str = "page";

/// Settles every batch as delivered to the page, until the outbox is closed and empty.
pub async fn settle_here(outbox: Arc<Outbox>, meters: Arc<Meters>) {
    let delivered =
        Signal::ALL.map(|signal| meters.delivered_items.with_label_values(&[signal.name(), PAGE]));
    while let Some(batch) = outbox.take().await {
        delivered[batch.signal as usize].inc_by(batch.items);
    }
}
