//! The commands: run, demo, check, print-config, tail.
