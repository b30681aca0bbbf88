//! Benchmarks of authchain: ratios against a baseline in the same run.
