//! Credential and state stores of authchain, and the sealing of what they hold.
