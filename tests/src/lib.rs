//! End-to-end, parity, property and ABI tests.
