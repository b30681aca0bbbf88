//! Medians and tables.

use std::time::Instant;

/// The middle of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Nanoseconds for one call, the median over rounds.
pub fn nanoseconds_per_call(rounds: usize, calls: usize, mut call: impl FnMut(usize)) -> f64 {
    let round = |call: &mut dyn FnMut(usize)| {
        let begun = Instant::now();
        (0..calls).for_each(call);
        begun.elapsed().as_nanos() as f64 / calls as f64
    };
    median((0..rounds).map(|_| round(&mut call)).collect())
}

/// One line: what, the figure, and the limit that it is held against.
pub fn line(what: &str, figure: impl std::fmt::Display, limit: &str) {
    println!("{what:<66} {figure:>12}   {limit}");
}
