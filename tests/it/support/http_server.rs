//! A small HTTP server on this machine, which can misbehave on purpose.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha1::{Digest, Sha1};

/// A request that the server received.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    headers: BTreeMap<String, String>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn read(stream: &TcpStream) -> Option<Self> {
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let first = lines.next()?;
        let mut words = first.split(' ');
        let (method, path) = (words.next()?.into(), words.next()?.into());
        let headers = lines.take_while(|line| !line.is_empty()).filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_lowercase(), value.trim().to_string()))
        });
        Some(Self { method, path, headers: headers.collect() })
    }
}

/// An answer of the server.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Number of bytes of the body that are sent before the connection is closed.
    pub cut_after: Option<usize>,
    /// Time that the connection stays open before it is closed.
    pub silence: Duration,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self { status, headers: vec![], body: vec![], cut_after: None, silence: Duration::ZERO }
    }

    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::status(200) }
    }

    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.into(), value.to_string()));
        self
    }

    pub fn cut_after(self, bytes: usize) -> Self {
        Self { cut_after: Some(bytes), ..self }
    }

    /// Returns the range of the body that a Range header asks for.
    pub fn ranged(self, request: &Request) -> Self {
        let start = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        let Some(start) = start.map(|start| start.parse::<usize>().unwrap()) else { return self };
        let total = self.body.len();
        if start >= total {
            return Self::status(416);
        }
        let body = self.body[start..].to_vec();
        Self { status: 206, body, ..self }.header("Content-Range", format!("bytes {start}-{}/{total}", total - 1))
    }

    fn write(&self, mut stream: TcpStream, head_only: bool) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Answer\r\nConnection: close\r\n", self.status);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        self.headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        write!(stream, "{head}\r\n")?;
        if !head_only {
            stream.write_all(&self.body[..self.cut_after.unwrap_or(self.body.len()).min(self.body.len())])?;
            stream.flush()?;
            std::thread::sleep(self.silence);
        }
        Ok(())
    }
}

/// A server that answers until it is dropped.
pub struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    /// Starts a server. `answer` gets each request, and the number of earlier ones with the same method and
    /// path.
    pub fn start(answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, requests: Arc::default(), stopped: Arc::default() };
        let (requests, stopped, answer) = (server.requests.clone(), server.stopped.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (requests, answer) = (requests.clone(), answer.clone());
                std::thread::spawn(move || {
                    let Some(request) = Request::read(&stream) else { return };
                    let before = {
                        let mut requests = requests.lock().unwrap();
                        let like = |known: &&Request| known.method == request.method && known.path == request.path;
                        let before = requests.iter().filter(like).count();
                        requests.push(request.clone());
                        before
                    };
                    answer(&request, before).write(stream, request.method == "HEAD").ok();
                });
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Returns the address of the server under another name, which counts as another host.
    pub fn other_url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Returns the requests for files whose names end in `end`, oldest first.
    pub fn requests(&self, method: &str, end: &str) -> Vec<Request> {
        let all = self.requests.lock().unwrap();
        all.iter().filter(|request| request.method == method && request.path.ends_with(end)).cloned().collect()
    }

    /// Returns the Range header of each request for a file, empty if there was none.
    pub fn ranges(&self, end: &str) -> Vec<String> {
        let range = |request: &Request| request.header("range").unwrap_or_default().to_string();
        self.requests("GET", end).iter().map(range).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        TcpStream::connect(("127.0.0.1", self.port)).ok();
    }
}

/// A model on a hub.
#[derive(Debug, Clone)]
pub struct HubModel {
    pub repository: String,
    pub commit: String,
    /// Name, content and ETag of each file.
    pub files: Vec<(String, Vec<u8>, String)>,
}

impl HubModel {
    pub fn new(repository: &str, files: &[(&str, &[u8])]) -> Self {
        let file = |(name, bytes): &(&str, &[u8])| {
            let is_large = name.ends_with(".safetensors");
            let etag = if is_large { preftune::platform::files::sha256(bytes) } else { git_blob(bytes) };
            (name.to_string(), bytes.to_vec(), etag)
        };
        let commit = git_blob(repository.as_bytes());
        Self { repository: repository.into(), commit, files: files.iter().map(file).collect() }
    }

    pub fn etag(&self, name: &str) -> &str {
        &self.files.iter().find(|(known, ..)| known == name).unwrap().2
    }

    /// Answers as the hub does, with facts in headers and with ranges on demand.
    pub fn answer(&self, request: &Request) -> Reply {
        let path = request.path.strip_prefix(&format!("/{}/resolve/", self.repository));
        let Some((revision, file)) = path.and_then(|path| path.split_once('/')) else { return Reply::status(404) };
        let known = ["main", "v1", "refs%2Fpr%2F1", &self.commit].contains(&revision);
        match self.files.iter().find(|(name, ..)| known && name == file) {
            None => Reply::status(404).header("X-Repo-Commit", &self.commit),
            Some((_, bytes, etag)) => {
                let reply = Reply::body(bytes.clone()).header("X-Repo-Commit", &self.commit);
                reply.header("ETag", format!("W/\"{etag}\"")).ranged(request)
            }
        }
    }
}

/// Returns the hash that `git hash-object` prints.
pub fn git_blob(bytes: &[u8]) -> String {
    let mut hasher = Sha1::new_with_prefix(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
