//! What the benchmarks share: servers in processes of their own, a load generator, CPU time, and tables of ratios.
//!
//! Machines are noisy, ratios hold: each figure is a median over rounds in which baseline and candidate take turns, and
//! what is compared is the CPU time that the server's process spent for one request. No figure is asserted.
#![allow(clippy::print_stdout, reason = "benchmarks print")]
#![allow(clippy::indexing_slicing, reason = "a benchmark that is wrong may stop")]

pub mod cpu;
pub mod flow;
pub mod load;
pub mod process;
pub mod report;
pub mod tokens;
