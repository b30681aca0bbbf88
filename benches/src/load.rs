//! A load generator: kept-alive connections that send ready-made requests in turn.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{cpu, process::Server};

const CONNECTIONS: usize = 16;

const TURNS: u8 = 6;
const TURN: Duration = Duration::from_millis(300);

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
pub async fn round(server: &Server, requests: &[Vec<u8>], status: u16, time: Duration) -> Result<Round> {
    drive(server, requests, status, time, None).await
}

/// The same, with other characters in the middle of what each request ends with, a token's signature, each time: nothing is
/// sent twice, not in another round either.
///
/// # Errors
/// When the connection breaks or an answer is another one.
pub async fn round_of_new(server: &Server, requests: &[Vec<u8>], status: u16, time: Duration) -> Result<Round> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    drive(server, requests, status, time, Some(u64::try_from(now.as_micros())?)).await
}

/// Sends `requests` to servers in turn, a short while each, again and again; each answers 200. The CPU time that each spent
/// for one, in microseconds. The first turn warms up and does not count.
///
/// # Errors
/// As [`round`].
pub async fn take_turns<const N: usize>(servers: &[Server; N], requests: &[Vec<u8>]) -> Result<[f64; N]> {
    let mut costs = [0.0; N];
    for turn in 0..=TURNS {
        for (server, cost) in servers.iter().zip(&mut costs) {
            let spent = round(server, requests, 200, TURN).await?.cpu;
            if turn > 0 {
                *cost += spent / f64::from(TURNS) / 1000.0;
            }
        }
    }
    Ok(costs)
}

async fn drive(server: &Server, requests: &[Vec<u8>], status: u16, time: Duration, vary: Option<u64>) -> Result<Round> {
    let before = cpu::nanoseconds(server.process())?;
    let begun = Instant::now();
    let workers = (0..CONNECTIONS).map(|worker| {
        let own: Vec<Vec<u8>> = requests.iter().skip(worker).step_by(CONNECTIONS).cloned().collect();
        // No connection sends as many requests as there are microseconds.
        let vary = vary.map(|from| from * CONNECTIONS as u64 + worker as u64);
        tokio::spawn(connection(server.port, own, status, begun + time, vary))
    });
    let mut answered = 0;
    for worker in workers.collect::<Vec<_>>() {
        answered += worker.await??;
    }
    let took = begun.elapsed();
    let spent = cpu::nanoseconds(server.process())? - before;
    Ok(Round {
        requests: answered,
        per_second: answered as f64 / took.as_secs_f64(),
        cpu: spent as f64 / answered as f64,
    })
}

async fn connection(
    port: u16,
    mut requests: Vec<Vec<u8>>,
    status: u16,
    until: Instant,
    mut vary: Option<u64>,
) -> Result<u64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let expected = format!("HTTP/1.1 {status} ");
    let mut buffer = vec![0; 64 * 1024];
    let mut answered = 0;
    for turn in (0..requests.len()).cycle() {
        if Instant::now() >= until {
            break;
        }
        let request = &mut requests[turn];
        if let Some(count) = &mut vary {
            *count += CONNECTIONS as u64;
            let middle = request.len().checked_sub(VARIED_BEFORE_END).context("the request is too short")?;
            request[middle..middle + 16].copy_from_slice(format!("{count:016x}").as_bytes());
        }
        stream.write_all(request).await?;
        let answer = read_answer(&mut stream, &mut buffer).await?;
        ensure!(answer.starts_with(expected.as_bytes()), "{}", String::from_utf8_lossy(answer));
        answered += 1;
    }
    Ok(answered)
}

/// One whole answer: its head and as much body as its `content-length` says, or a chunked one to its end.
pub(crate) async fn read_answer<'a>(stream: &mut TcpStream, buffer: &'a mut [u8]) -> Result<&'a [u8]> {
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
