//! F3: a simulated model server for the demo, tests and benchmarks.
