//! The page for labelling among many connections that waste its resources. Without the token, they cannot
//! keep a labeler waiting.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

#[cfg(unix)]
use super::label::Running;
use super::label_page::Page;

/// Behaviour of a hostile connection, which is opened again at once after it was closed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Hostile {
    SaysNothing,
    DripsItsHead,
    SendsLongHeadSlowly,
    NeverSendsItsBody,
    AsksAndNeverReads,
    ReadsOneByteASecond,
    StaysAfterRefusal,
    ClosesHalfAfterRefusal,
    AsksAgainAndAgain,
    ComesAndGoes,
}

const KINDS: [Hostile; 10] = [
    Hostile::SaysNothing,
    Hostile::DripsItsHead,
    Hostile::SendsLongHeadSlowly,
    Hostile::NeverSendsItsBody,
    Hostile::AsksAndNeverReads,
    Hostile::ReadsOneByteASecond,
    Hostile::StaysAfterRefusal,
    Hostile::ClosesHalfAfterRefusal,
    Hostile::AsksAgainAndAgain,
    Hostile::ComesAndGoes,
];

impl Hostile {
    /// Opens one connection, and uses it until it is closed.
    async fn visit(self, port: u16) -> Result<()> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let head = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n");
        let request = format!("{head}\r\n");
        match self {
            Self::SaysNothing => read_to_end(&stream).await,
            Self::DripsItsHead => {
                for byte in head.as_bytes().iter().chain(std::iter::repeat(&b'x')) {
                    write(&stream, &[*byte]).await?;
                    sleep(Duration::from_millis(50)).await;
                }
                Ok(())
            }
            Self::SendsLongHeadSlowly => {
                write(&stream, head.as_bytes()).await?;
                for number in 0.. {
                    write(&stream, format!("X-{number}: {}\r\n", "a".repeat(4000)).as_bytes()).await?;
                    sleep(Duration::from_millis(50)).await;
                }
                Ok(())
            }
            Self::NeverSendsItsBody => {
                let post =
                    format!("POST /api/next HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 60000\r\n\r\n{{");
                write(&stream, post.as_bytes()).await?;
                read_to_end(&stream).await
            }
            Self::AsksAndNeverReads => loop {
                write(&stream, request.as_bytes()).await?;
            },
            Self::ReadsOneByteASecond => {
                write(&stream, request.repeat(100).as_bytes()).await?;
                loop {
                    sleep(Duration::from_secs(1)).await;
                    if read(&stream, &mut [0]).await? == 0 {
                        return Ok(());
                    }
                }
            }
            Self::StaysAfterRefusal => {
                write(&stream, request.as_bytes()).await?;
                read_to_end(&stream).await?;
                sleep(Duration::from_secs(5)).await;
                Ok(())
            }
            Self::ClosesHalfAfterRefusal => {
                write(&stream, request.as_bytes()).await?;
                read(&stream, &mut [0; 100]).await?;
                let stream = stream.into_std()?;
                stream.shutdown(std::net::Shutdown::Write)?;
                sleep(Duration::from_secs(1)).await;
                Ok(())
            }
            Self::AsksAgainAndAgain => {
                write(&stream, request.as_bytes()).await?;
                read_to_end(&stream).await
            }
            Self::ComesAndGoes => Ok(()),
        }
    }
}

async fn write(stream: &TcpStream, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn read(stream: &TcpStream, bytes: &mut [u8]) -> Result<usize> {
    loop {
        stream.readable().await?;
        match stream.try_read(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

async fn read_to_end(stream: &TcpStream) -> Result<()> {
    while read(stream, &mut [0; 4096]).await? > 0 {}
    Ok(())
}

/// Starts hostile connections, which continue until the runtime is dropped.
fn attack(kind: Hostile, connections: usize, port: u16) -> Runtime {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for _ in 0..connections {
        runtime.spawn(async move {
            loop {
                if let Err(error) = kind.visit(port).await
                    && error.kind() == ErrorKind::AddrNotAvailable
                {
                    // The client side has no free port.
                    sleep(Duration::from_millis(10)).await;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    runtime
}

/// A connection that stays open from one answer to the next, as in a browser.
struct Kept<'a> {
    page: &'a Page,
    stream: std::net::TcpStream,
}

impl<'a> Kept<'a> {
    /// Opens a connection, and returns the answer to its first request.
    fn open(page: &'a Page, labeler: &str) -> (Self, Value) {
        let stream = std::net::TcpStream::connect(("127.0.0.1", page.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut kept = Self { page, stream };
        let view = kept.post("/api/next", &json!({"labeler": labeler})).unwrap();
        (kept, view)
    }

    fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        let body = body.to_string();
        let own = "Host: {host}\r\nOrigin: {origin}\r\nCookie: {cookie}\r\nContent-Type: application/json";
        let head = format!("POST {path} HTTP/1.1\r\n{own}\r\nContent-Length: {}\r\n\r\n", body.len());
        self.stream.write_all((self.page.filled(&head) + &body).as_bytes())?;
        let mut response = Vec::new();
        loop {
            let mut bytes = [0; 8192];
            match self.stream.read(&mut bytes)? {
                0 => return Err(Error::from(ErrorKind::UnexpectedEof)),
                read => response.extend_from_slice(&bytes[..read]),
            }
            let text = String::from_utf8_lossy(&response);
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && head.to_lowercase().contains(&format!("content-length: {}", body.len()))
            {
                assert!(head.starts_with("HTTP/1.1 200"), "{text}");
                return Ok(serde_json::from_str(body)?);
            }
        }
    }
}

/// Times of answers, in milliseconds.
struct Times(Vec<f64>);

impl Times {
    fn median(&mut self) -> f64 {
        self.0.sort_by(f64::total_cmp);
        self.0[self.0.len() / 2]
    }

    fn worst(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }
}

/// Answers questions for a while, by new connections and by one that stays open, and returns the times of
/// both.
fn label(page: &Page, how_long: Duration) -> [Times; 2] {
    let (mut kept, before_bob) = Kept::open(page, "bob");
    let mut views = [page.post("/api/next", &json!({"labeler": "ada"})).1, before_bob];
    let mut times = [Times(Vec::new()), Times(Vec::new())];
    let started = Instant::now();
    while started.elapsed() < how_long || times[0].0.len() < 5 {
        for (which, labeler) in ["ada", "bob"].into_iter().enumerate() {
            let answer = json!({"labeler": labeler, "id": views[which]["question"]["id"], "choice": 0, "ms": 1});
            let began = Instant::now();
            views[which] = match which {
                0 => {
                    let (status, view) = page.post("/api/answer", &answer);
                    assert_eq!(status, 200, "{view}");
                    view
                }
                _ => kept.post("/api/answer", &answer).unwrap(),
            };
            times[which].0.push(began.elapsed().as_secs_f64() * 1e3);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    times
}

/// Checks that the median answer takes less than `most` milliseconds.
fn median_among(connections: usize, how_long: Duration, warm_up: Duration, most: f64) {
    let page = Page::with_questions(60_000);
    println!("                        connections   answers   new: median, worst ms   kept: median, worst ms");
    for kind in KINDS {
        let attackers = attack(kind, connections, page.port);
        std::thread::sleep(warm_up);
        let [mut new, mut kept] = label(&page, how_long);
        attackers.shutdown_background();
        let (median, worst) = (new.median(), new.worst());
        println!(
            "{:<24}{connections:>11}{:>10}{median:>15.1}{worst:>9.1}{:>16.1}{:>9.1}",
            format!("{kind:?}"),
            new.0.len() + kept.0.len(),
            kept.median(),
            kept.worst()
        );
        assert!(median < most && kept.median() < most, "{kind:?}: {median} and {} ms", kept.median());
    }
}

#[test]
fn connections_without_the_token_do_not_keep_labelers_waiting() {
    median_among(100, Duration::from_millis(200), Duration::from_millis(50), 2_000.0);
}

#[test]
#[ignore = "ten kinds of a thousand connections, half a minute each; needs 2,000 file descriptors"]
fn a_thousand_connections_without_the_token_do_not_keep_labelers_waiting() {
    median_among(1000, Duration::from_secs(25), Duration::from_secs(3), 100.0);
}

#[cfg(unix)]
#[test]
fn a_page_with_few_file_descriptors_serves_labelers_and_keeps_their_labels() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new("sh");
    let program = "ulimit -n 80; exec \"$0\" label --device flex --out labels.jsonl --json --set labels.comparisons=12";
    command.args(["-c", program, env!("CARGO_BIN_EXE_preftune")]).current_dir(folder.path());
    let running = Running::start(command);
    let attackers = attack(Hostile::SaysNothing, 300, running.port());
    running.answer(12);
    let output = running.program.wait_with_output().unwrap();
    attackers.shutdown_background();
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcome["comparisons"], 12);
}
