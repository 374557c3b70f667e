//! The edge with real sockets and real clients; lanes that nobody empties stand in for the pipeline.

mod abuse;
pub mod fixture;
mod frames;
mod grpc;
mod http;
mod life;
