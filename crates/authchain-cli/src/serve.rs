//! `authchain serve`: the example server against real Google.

use authchain_server::{App, config::Sources};
use workspace_mcp::Workspace;

use crate::{args::Serve, failure::Failure, logging};

pub(crate) async fn run(mut sources: Sources, args: Serve) -> Result<(), Failure> {
    if let Some(host) = args.host {
        sources = sources.set("server.host", host, "--host");
    }
    if let Some(port) = args.port {
        sources = sources.set("server.port", port, "--port");
    }
    if let Some(data) = &args.data {
        sources = sources.set("storage.directory", data.display(), "--data");
    }
    let config = sources.load()?;
    logging::start(&config.log);
    let app = App::new(config).await?.controlled();
    let mcp = authchain_mcp::service(Workspace::new(), app.public_url());
    app.serve(mcp).await?;
    Ok(())
}
