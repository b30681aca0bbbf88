//! A load generator: kept-alive connections that send ready-made requests in turn, from one core to a server on another.
//!
//! One half of the connections is written to while the other half's requests are served, so that the server never waits for
//! work: what limits is its core. A core that sleeps between requests loses what is in its caches.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncReadExt;

use crate::{cpu, process::Server};

const CONNECTIONS: usize = 64;

/// Where a request is varied, counted from its end: in the middle of an RS256 signature.
const VARIED_BEFORE_END: usize = 104;

/// What one round showed.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Requests that were answered.
    pub requests: u64,
    /// Requests in a second.
    pub per_second: f64,
    /// CPU time that the server spent for one, in nanoseconds.
    pub cpu: f64,
}

/// Sends `requests` in turn to `server` for this long. Each answer must begin with this status line.
///
/// # Errors
/// When the connection breaks or an answer is another one.
pub fn round(server: &Server, requests: &[Vec<u8>], status: u16, time: Duration) -> Result<Round> {
    drive(server, &mut Requests { all: requests, turn: 0, vary: None, sent: Vec::new() }, status, time)
}

/// The same, with other characters in the middle of what each request ends with, a token's signature, each time: nothing is
/// sent twice, not in another round either.
///
/// # Errors
/// When the connection breaks or an answer is another one.
pub fn round_of_new(server: &Server, requests: &[Vec<u8>], status: u16, time: Duration) -> Result<Round> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    // No round sends as many requests as there are nanoseconds.
    let vary = Some(u64::try_from(now.as_nanos())?);
    drive(server, &mut Requests { all: requests, turn: 0, vary, sent: Vec::new() }, status, time)
}

/// Requests in turn.
struct Requests<'a> {
    all: &'a [Vec<u8>],
    turn: usize,
    vary: Option<u64>,
    sent: Vec<u8>,
}

impl Requests<'_> {
    fn next(&mut self) -> Result<&[u8]> {
        let request = self.all.get(self.turn).context("there are no requests")?;
        self.turn = (self.turn + 1) % self.all.len();
        let Some(count) = &mut self.vary else { return Ok(request) };
        *count += 1;
        self.sent.clear();
        self.sent.extend_from_slice(request);
        let middle = request.len().checked_sub(VARIED_BEFORE_END).context("the request is too short")?;
        self.sent[middle..middle + 16].copy_from_slice(format!("{count:016x}").as_bytes());
        Ok(&self.sent)
    }
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// How long an answer is; all of a round are alike.
    length: Option<usize>,
}

impl Connection {
    fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { stream, buffer: vec![0; 16 * 1024], length: None })
    }

    /// Reads one whole answer.
    fn receive(&mut self, expected: &[u8]) -> Result<()> {
        let mut filled = 0;
        loop {
            let room = self.buffer.get_mut(filled..).context("the answer is too long")?;
            let read = self.stream.read(room)?;
            ensure!(read > 0, "the server hung up");
            filled += read;
            let answer = &self.buffer[..filled];
            if self.length == Some(filled) || is_whole(answer) {
                ensure!(answer.starts_with(expected), "{}", String::from_utf8_lossy(answer));
                self.length = Some(filled);
                return Ok(());
            }
        }
    }
}

fn drive(server: &Server, requests: &mut Requests<'_>, status: u16, time: Duration) -> Result<Round> {
    let expected = format!("HTTP/1.1 {status} ").into_bytes();
    let mut connections = (0..CONNECTIONS).map(|_| Connection::open(server.port)).collect::<Result<Vec<_>>>()?;
    let (these, those) = connections.split_at_mut(CONNECTIONS / 2);
    let before = cpu::nanoseconds(server.process())?;
    let begun = Instant::now();
    let mut send = |half: &mut [Connection]| -> Result<()> {
        half.iter_mut().try_for_each(|connection| Ok(connection.stream.write_all(requests.next()?)?))
    };
    let receive = |half: &mut [Connection]| half.iter_mut().try_for_each(|connection| connection.receive(&expected));
    let mut answered = 0;
    send(these)?;
    loop {
        send(those)?;
        receive(these)?;
        answered += CONNECTIONS as u64;
        if begun.elapsed() >= time {
            receive(those)?;
            break;
        }
        send(these)?;
        receive(those)?;
    }
    let took = begun.elapsed();
    let spent = cpu::nanoseconds(server.process())? - before;
    Ok(Round {
        requests: answered,
        per_second: answered as f64 / took.as_secs_f64(),
        cpu: spent as f64 / answered as f64,
    })
}

/// One whole answer: its head and as much body as its `content-length` says, or a chunked one to its end.
pub(crate) async fn read_answer<'a>(stream: &mut tokio::net::TcpStream, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
    let mut filled = 0;
    loop {
        let room = buffer.get_mut(filled..).context("the answer is too long")?;
        let read = stream.read(room).await?;
        ensure!(read > 0, "the server hung up");
        filled += read;
        let so_far = buffer.get(..filled).context("the answer is too long")?;
        if is_whole(so_far) {
            return buffer.get(..filled).context("the answer is too long");
        }
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let (head, body) = (String::from_utf8_lossy(answer.get(..head).unwrap_or_default()), answer.len() - head - 4);
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) => body >= length,
        None => answer.ends_with(b"0\r\n\r\n"),
    }
}
