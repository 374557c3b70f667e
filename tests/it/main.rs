//! The integration tests: one binary, a module per behaviour, the real program and real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails, saying where")]

mod config;
mod harness;

mod books;
mod bounds;
mod captures;
mod content;
mod deploy;
mod dialects;
mod drain;
mod edge_auth;
mod edge_connections;
mod edge_grpc;
mod edge_http;
mod edge_json;
mod edge_tls;
mod faults_capped;
mod faults_http2;
mod faults_memory;
mod faults_slow;
mod forwarding;
mod fuzz;
mod gateways;
mod ids;
mod image;
mod journey;
mod json;
mod labels;
mod life;
mod limits;
mod loops;
mod meaning;
mod page;
mod passing;
mod readme;
mod routes;
mod rules;
mod sampling;
mod scores;
mod sdk_go;
mod sdk_java;
mod sdk_node;
mod sdk_python;
mod shapes;
mod sidecar;
mod signals;
mod tail;
mod three_processes;
mod tidy;
mod traces;
mod upstreams;
mod wire;
mod xservice;
