//! The `quintile` binary.
fn main() {}
