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
pub mod yardstick;

/// Polls a future that is ready at once, as a warm one is.
///
/// # Panics
/// When it is not.
pub fn now<F: Future>(future: F) -> F::Output {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("it waited"),
    }
}
