//! Nothing of it is compiled: its build script fails.

fn main() {}
