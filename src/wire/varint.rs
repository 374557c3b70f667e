//! Base-128 varints: at most ten bytes, over-long encodings accepted, overflow refused (conformance P08).
