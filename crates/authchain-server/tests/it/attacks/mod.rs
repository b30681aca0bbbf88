//! What an attacker tries, refused with nothing leaked. Attacks on tokens are in the tests of the crate `authchain-jwt`, those
//! on codes and refresh tokens beside the tests of these; `docs/checklist.md` has the list.

mod forms;
mod names;
mod people;
mod redirects;
