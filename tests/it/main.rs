//! The integration tests: one binary, a module per behaviour, the real program and real sockets.

mod harness;
