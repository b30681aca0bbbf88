//! The stand-in by itself, for clients in other languages: `cargo run -p authchain-testkit --example standin -- [PORT]`.

use std::{error::Error, io::Write};

use authchain_testkit::{StandIn, StandInOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).map(|port| port.parse()).transpose()?;
    let google = StandIn::start(StandInOptions { port, ..StandInOptions::default() }).await?;
    let mut out = std::io::stdout();
    writeln!(out, "issuer         {}", google.issuer())?;
    writeln!(out, "client id      {}", StandIn::client_id())?;
    writeln!(out, "client secret  {}", StandIn::client_secret().expose())?;
    writeln!(out, "controls       POST {}standin/control   GET {0}standin/state", google.url())?;
    tokio::signal::ctrl_c().await?;
    google.stop().await;
    Ok(())
}
