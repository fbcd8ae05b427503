//! A host in plain Rust, for tests.
