//! What a command has a server do that runs: orders over a socket that only the server's own user can open. So far there is
//! one order, to move credentials; it is the only way to what `memory_only` keeps, because that is in no other process.
//!
//! - `folder`: where the socket is, and that nobody else could have put it there
//! - `socket`: the server's end of it
//! - `wire`: what is said over it, one line of JSON each. Nothing secret ever is: a server has its keys and passwords from
//!   its own configuration
//! - `migration`: an order carried out, step by step
//! - `place`: the stores that an order names, open
//! - `ask`: the command's end. A command that needs no server has the order carried out in its own process, the same way

mod ask;
mod folder;
mod migration;
mod place;
mod socket;
mod wire;

pub use self::{
    ask::{AskError, Asked},
    migration::problem,
    place::{IfMissing, has_keys, key_file, open_place},
    wire::{MigrationOrder, Outcome, Planned, Refusal, Row, Said},
};
pub(crate) use self::{
    folder::{Address, Places},
    migration::{Carried, Memory, Migrations},
    socket::{Control, Name},
};
