//! Test kit of authchain: a stand-in for Google that can misbehave on command, a browser-less person who walks sign-ins,
//! and the suites that every store must pass.
//!
//! * [`StandIn`] is a real HTTP server on loopback: OpenID Connect, OAuth, and enough of Drive, Gmail and Calendar for
//!   Google's client libraries, on seeded data of ann, bob and eve.
//! * [`Control`] makes it slow, broken, forgetful or false, and counts what was asked of it.
//! * [`Browser`] opens pages, keeps cookies, fills forms and follows redirects as a browser does, without one.
//! * [`CallbackListener`] plays the loopback callback of a client.
//! * [`suite`] holds the promises of the storage traits as tests.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use authchain_testkit::{Browser, Endpoint, StandIn, StandInOptions};
//!
//! let google = StandIn::start(StandInOptions::default()).await?;
//! google.control().fail(Endpoint::Refresh, 503, 2); // the next two refreshes find Google down
//!
//! let person = Browser::new()?.stop_at("http://127.0.0.1:9/callback");
//! let page = person.open(google.url().join("o/oauth2/v2/auth")?).await?;
//! assert!(page.text().contains("stand-in"), "every page says that this is no Google");
//! google.stop().await;
//! # Ok(()) }
//! # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
//! ```

mod browser;
mod control;
mod standin;
pub mod suite;

pub use browser::{Browser, BrowserError, Button, Callback, CallbackListener, Choice, Field, Form, Page};
pub use control::{Control, Endpoint, Fault, Hold, LoggedRequest};
pub use standin::{StandIn, StandInOptions};
