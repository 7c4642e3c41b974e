//! Rewritten by the test.

fn main() {}
