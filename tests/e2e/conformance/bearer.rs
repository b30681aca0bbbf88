//! A client that is signed in, for a suite that knows nothing of tokens: what is sent here goes on to the server with a
//! token, and is otherwise left as it is.

use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use url::Url;

/// It stops when dropped.
pub(crate) struct Bearer {
    pub(crate) url: Url,
    task: JoinHandle<()>,
}

impl Bearer {
    /// In front of the server at this address.
    pub(crate) async fn start(mcp_url: &str, token: &str) -> Self {
        let mut url = Url::parse(mcp_url).unwrap();
        let server = url.socket_addrs(|| None).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let header = format!("\r\nauthorization: Bearer {token}\r\nconnection: close\r\n");
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, header) = (server.clone(), header.clone());
                tokio::spawn(async move {
                    let server = TcpStream::connect(&*server).await?;
                    one_request(client, server, &header).await
                });
            }
        });
        Self { url, task }
    }
}

impl Drop for Bearer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request a connection: then only its head has to be understood.
async fn one_request(mut client: TcpStream, mut server: TcpStream, header: &str) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8(head).map_err(io::Error::other)?;
    let (first, rest) = head.split_once("\r\n").ok_or_else(|| io::Error::other("no head"))?;
    let kept = rest.split_inclusive("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let head: String = [first, header].into_iter().chain(kept).collect();
    server.write_all(head.as_bytes()).await?;
    io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
