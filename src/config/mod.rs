//! The file and variables a user writes, checked and turned into each part's settings.

use std::net::SocketAddr;

use crate::{export, join, queue, receive, rules};

/// Everything `pipeline` needs, checked.
#[derive(Clone, Debug)]
pub struct Plan {
    pub receive: receive::Settings,
    pub labels: rules::labels::Settings,
    /// `None`: pass through.
    pub join: Option<join::Settings>,
    pub batch: queue::batcher::Settings,
    /// Empty: joined traces are shown and kept here, nothing is forwarded.
    pub upstreams: Vec<export::Settings>,
    /// The process-wide byte budget.
    pub memory: usize,
    pub admin: Option<SocketAddr>,
    pub lanes: usize,
}
