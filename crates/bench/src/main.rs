//! Load generator and benchmarks that print ratios.

fn main() {}
