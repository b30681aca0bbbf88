//! The `authchain` command.

fn main() {}
