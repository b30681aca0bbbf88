//! Test kit of authchain: a stand-in for Google that can misbehave on command, and the suites that every store must pass.
