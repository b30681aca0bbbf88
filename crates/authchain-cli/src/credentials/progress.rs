//! How far a long command is: a bar on a terminal, a line every five seconds elsewhere, events for programs.
#![allow(clippy::print_stderr, reason = "this is where the command says how far it is")]

use std::{
    io::{self, IsTerminal},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::output::Output;

/// How often a line is written where there is no terminal.
const LINES: Duration = Duration::from_secs(5);

/// How often an event is written.
const EVENTS: Duration = Duration::from_secs(1);

/// The progress of one kind of work. It is said on standard error, so that standard output is one answer.
pub(super) struct Progress {
    what: &'static str,
    of: usize,
    begun: Instant,
    form: Form,
}

enum Form {
    Bar(ProgressBar),
    Lines(Mutex<Instant>),
    Events(Mutex<Option<Instant>>),
}

impl Progress {
    /// `what` is one word: copied, removed, ...
    pub(super) fn new(what: &'static str, of: usize, output: &Output) -> Self {
        let form = if output.is_json() {
            Form::Events(Mutex::new(None))
        } else if io::stderr().is_terminal() {
            let bar = ProgressBar::new(u64::try_from(of).unwrap_or(u64::MAX));
            let template = "{bar:40} {pos}/{len} {msg}, {per_sec}, {eta} to go";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            Form::Bar(bar.with_style(style).with_message(what))
        } else {
            Form::Lines(Mutex::new(Instant::now()))
        };
        Self { what, of, begun: Instant::now(), form }
    }

    /// So many are done.
    pub(super) fn at(&self, done: usize) {
        let Self { what, of, .. } = self;
        let last = done == *of;
        match &self.form {
            Form::Bar(bar) if last => bar.finish_and_clear(),
            Form::Bar(bar) => bar.set_position(u64::try_from(done).unwrap_or(u64::MAX)),
            Form::Lines(said) => {
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                if said.elapsed() >= LINES {
                    *said = Instant::now();
                    eprintln!("{done} of {of} {what}, {:.0} a second", self.rate(done));
                }
            }
            Form::Events(said) => {
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                if last || said.is_none_or(|said| said.elapsed() >= EVENTS) {
                    *said = Some(Instant::now());
                    eprintln!("{}", json!({ "progress": { "what": what, "done": done, "of": of } }));
                }
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn rate(&self, done: usize) -> f64 {
        done as f64 / self.begun.elapsed().as_secs_f64().max(0.001)
    }
}
