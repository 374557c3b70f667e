//! The integration tests: one binary, a module per behaviour, the real program and real sockets.

mod harness;

mod captures;
mod sdk_go;
mod sdk_java;
mod sdk_node;
mod sdk_python;
mod three_processes;
