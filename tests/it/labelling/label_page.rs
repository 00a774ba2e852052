//! The page for labelling: the requests that it accepts and refuses, and the labels on the disk afterwards.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use preftune::labels::web::LabelServer;
use preftune::labels::{LabelLog, LabelQueue, Question, QueueSettings, SharedQueue};
use serde_json::{Value, json};

/// A page in front of a queue with `count` questions.
pub struct Page {
    folder: tempfile::TempDir,
    pub queue: Arc<SharedQueue>,
    server: LabelServer,
    pub port: u16,
    token: String,
}

impl Page {
    pub fn with_questions(count: usize) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), count)
    }

    fn in_folder(folder: tempfile::TempDir, count: usize) -> Self {
        let log = LabelLog::open(&folder.path().join("labels.jsonl")).unwrap();
        let mut queue = LabelQueue::new(log, plan(count));
        queue.offer((0..count).map(question));
        let queue = Arc::new(SharedQueue::new(queue));
        let server = LabelServer::start(Arc::clone(&queue), "Choose the <b>best</b>.", 0).unwrap();
        let url = server.url();
        let (port, token) = url.strip_prefix("http://127.0.0.1:").unwrap().split_once("/?token=").unwrap();
        let (port, token) = (port.parse().unwrap(), token.to_string());
        Self { folder, queue, server, port, token }
    }

    /// Stops the page as if the program had ended, and returns a function that starts it again.
    pub fn end(self) -> impl FnOnce(usize) -> Self {
        let Self { folder, queue, server, .. } = self;
        server.stop();
        // The server may drop its last handles a little later.
        let started = std::time::Instant::now();
        while Arc::strong_count(&queue) > 1 {
            assert!(started.elapsed() < Duration::from_secs(20), "somebody is still at the queue");
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(queue);
        move |count| Self::in_folder(folder, count)
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub fn lines(&self) -> usize {
        std::fs::read_to_string(self.path()).unwrap().lines().count()
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("labels.jsonl")
    }

    /// Replaces `{host}`, `{port}`, `{origin}`, `{cookie}` and `{token}` in a request.
    pub fn filled(&self, text: &str) -> String {
        let own = format!("127.0.0.1:{}", self.port);
        text.replace("{cookie}", &format!("preftune-{}={}", self.port, self.token))
            .replace("{origin}", &format!("http://{own}"))
            .replace("{host}", &own)
            .replace("{port}", &self.port.to_string())
            .replace("{token}", &self.token)
    }

    /// Sends a request literally, and returns the status and the whole response.
    fn send(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // The server may answer and close the connection before it has read a long body.
        stream.write_all(self.filled(request).as_bytes()).ok();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).ok();
        let response = String::from_utf8_lossy(&response).into_owned();
        let status = response.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, response)
    }

    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let head = format!("POST {path} HTTP/1.1\r\nHost: {{host}}\r\nOrigin: {{origin}}\r\nCookie: {{cookie}}\r\n");
        let rest =
            format!("Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let (status, response) = self.send(&format!("{head}{rest}{body}"));
        let (_, body) = response.split_once("\r\n\r\n").unwrap();
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

fn plan(wanted: usize) -> QueueSettings {
    QueueSettings { wanted, repeated: 0.0, seed: 1 }
}

pub fn question(number: usize) -> Question {
    Question {
        id: format!("1-{number}"),
        query: format!("Query <script>alert({number})</script> \u{202e}."),
        responses: ["good", "bad", "so\nso", "<img src=x onerror=alert(1)>"]
            .map(|text| format!(" {text} {number}."))
            .into(),
        order: vec![1, 2, 0, 3],
        policy: "test".into(),
    }
}

#[test]
fn the_token_is_exchanged_for_a_cookie_that_scripts_do_not_see() {
    let page = Page::with_questions(1);
    let (status, response) = page.send("GET /?token={token} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    assert_eq!(status, 303, "{response}");
    let cookie = page.filled("set-cookie: {cookie}; HttpOnly; SameSite=Strict; Path=/");
    assert!(response.contains(&cookie) && response.contains("location: /\r\n"), "{response}");

    let get = |path: &str| {
        page.send(&format!("GET {path} HTTP/1.1\r\nHost: {{host}}\r\nCookie: {{cookie}}\r\nConnection: close\r\n\r\n"))
    };
    for (path, kind) in [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")] {
        let (status, response) = get(path);
        assert_eq!(status, 200, "{path}");
        assert!(response.contains(&format!("content-type: {kind}; charset=utf-8")), "{response}");
        assert!(response.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{response}");
        assert!(!response.contains("http://") && !response.contains("https://"), "an address outside");
        assert!(!response.contains("innerHTML") && !response.contains(&page.token));
    }
}

#[test]
fn two_people_label_to_the_end_and_take_back_what_they_like() {
    let page = Page::with_questions(4);
    let (status, ada) = page.post("/api/next", &json!({"labeler": "ada"}));
    assert_eq!((status, &ada["state"]), (200, &json!("question")));
    assert_eq!(ada["question"]["query"], "Query <script>alert(0)</script> ⟨U+202E⟩.");
    assert_eq!(
        ada["question"]["responses"],
        json!([" bad 0.", " so\nso 0.", " good 0.", " <img src=x onerror=alert(1)> 0."])
    );
    assert!(ada["question"].get("policy").is_none() && ada["question"].get("order").is_none());
    let (_, bob) = page.post("/api/next", &json!({"labeler": "bob"}));
    assert_eq!(bob["question"]["id"], "1-1");

    let answer = |labeler: &str, id: &Value, choice: Value| {
        page.post("/api/answer", &json!({"labeler": labeler, "id": id, "choice": choice, "ms": 1200}))
    };
    let (status, ada) = answer("ada", &ada["question"]["id"], json!(2));
    assert_eq!((status, &ada["question"]["id"], &ada["progress"]["yours"]), (200, &json!("1-2"), &json!(1)));
    assert_eq!(page.lines(), 1, "on the disk before it is acknowledged");
    let (status, nothing) = page.post("/api/undo", &json!({"labeler": "eve"}));
    assert_eq!((status, &nothing["error"]), (409, &json!("there is nothing to take back")));
    let (_, ada) = page.post("/api/undo", &json!({"labeler": "ada"}));
    assert_eq!((&ada["question"]["id"], &ada["progress"]["labels"]), (&json!("1-0"), &json!(0)));
    let (_, ada) = answer("ada", &ada["question"]["id"], json!(0));
    let (_, bob) = page.post("/api/skip", &json!({"labeler": "bob", "id": bob["question"]["id"]}));
    answer("bob", &bob["question"]["id"], json!(3));
    let (_, ada) = answer("ada", &ada["question"]["id"], json!(2));
    let (status, done) = answer("ada", &ada["question"]["id"], Value::Null);
    assert_eq!((status, &done["state"]), (200, &json!("wait")), "an answer that does not choose is no label");
    page.queue.with(|queue| queue.offer([question(9)]));
    let (_, ada) = page.post("/api/next", &json!({"labeler": "ada"}));
    let (_, done) = answer("ada", &ada["question"]["id"], json!(2));
    assert_eq!((&done["state"], &done["progress"]["labels"]), (&json!("done"), &json!(4)));

    let best: Vec<usize> =
        page.queue.with(|queue| queue.log().comparisons().unwrap().iter().map(|one| one.best).collect());
    assert_eq!(best, [1, 3, 0, 0]);
}

/// The requests are those that another page, another program or a mistaken script may send.
#[test]
fn hostile_requests_are_refused_and_change_nothing() {
    let page = Page::with_questions(3);
    page.post("/api/next", &json!({"labeler": "ada"}));
    let answer = r#"{"labeler":"ada","id":"1-0","choice":0,"ms":1}"#;
    let long = format!(r#"{{"labeler":"ada","id":"1-0","choice":0,"ms":1,"more":"{}"}}"#, "x".repeat(1 << 20));
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let get = |head: &str| format!("{head}\r\nConnection: close\r\n\r\n");
    let own = "Host: {host}\r\nOrigin: {origin}\r\nCookie: {cookie}\r\nContent-Type: application/json";
    let post = |head: &str, body: &str| {
        let length = body.len();
        format!("POST /api/answer HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
    };
    let to = |path: &str, body: &str| post(own, body).replace("/api/answer", path);
    let chunked = format!(
        "POST /api/answer HTTP/1.1\r\n{own}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n",
        long.len()
    );
    let in_own = |from: &str, to: &str| post(&own.replace(from, to), answer);
    let named = |name: &str| post(own, &json!({"labeler": name, "id": "1-0", "choice": 0, "ms": 1}).to_string());
    let cases = [
        ("no cookie", 401, get("GET / HTTP/1.1\r\nHost: {host}")),
        ("a wrong token", 401, get("GET /?token=00000000000000000000000000000000 HTTP/1.1\r\nHost: {host}")),
        ("an empty token", 401, get("GET /?token= HTTP/1.1\r\nHost: {host}")),
        ("the token at another path", 401, get("GET /api/instructions?token={token} HTTP/1.1\r\nHost: {host}")),
        ("a cookie of another port", 401, get("GET / HTTP/1.1\r\nHost: {host}\r\nCookie: preftune-1={token}")),
        ("a longer cookie", 401, get("GET / HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}0")),
        ("a rebound name", 403, get("GET /?token={token} HTTP/1.1\r\nHost: evil.example")),
        ("a rebound name with our port", 403, get("GET / HTTP/1.1\r\nHost: evil.example:{port}\r\nCookie: {cookie}")),
        (
            "a name that begins like ours",
            403,
            get("GET / HTTP/1.1\r\nHost: localhost.evil.example:{port}\r\nCookie: {cookie}"),
        ),
        ("the other loopback address", 403, get("GET / HTTP/1.1\r\nHost: [::1]:{port}\r\nCookie: {cookie}")),
        ("no port", 403, get("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}")),
        ("no host", 403, get("GET / HTTP/1.1\r\nCookie: {cookie}")),
        ("two hosts", 403, get("GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\nCookie: {cookie}")),
        ("no origin", 403, in_own("Origin: {origin}\r\n", "")),
        ("an opaque origin", 403, in_own("{origin}", "null")),
        ("another origin", 403, in_own("{origin}", "http://evil.example")),
        ("another scheme", 403, in_own("{origin}", "https://{host}")),
        ("another port of this computer", 403, in_own("{origin}", "http://127.0.0.1:1")),
        ("an origin that begins like ours", 403, in_own("{origin}", "http://{host}.evil.example")),
        ("no cookie, but the rest", 401, in_own("Cookie: {cookie}\r\n", "")),
        ("a form", 415, in_own("application/json", "application/x-www-form-urlencoded")),
        ("what a form may send as JSON", 415, in_own("application/json", "text/plain")),
        ("no content type", 415, in_own("\r\nContent-Type: application/json", "")),
        ("a megabyte", 413, post(own, &long)),
        ("a megabyte in chunks", 413, chunked),
        ("no JSON", 400, post(own, "{\"labeler\":")),
        ("JSON that is deep", 422, post(own, &deep)),
        ("an unknown field", 422, post(own, &answer.replace("\"ms\"", "\"order\":[0],\"ms\""))),
        ("a negative choice", 422, post(own, &answer.replace(":0,", ":-1,"))),
        ("no choice", 422, post(own, &answer.replace("\"choice\":0,", ""))),
        ("a choice that is a float", 422, post(own, &answer.replace(":0,", ":0.0,"))),
        ("a choice that is text", 422, post(own, &answer.replace(":0,", ":\"0\","))),
        ("a choice that is true", 422, post(own, &answer.replace(":0,", ":true,"))),
        ("a choice of many digits", 422, post(own, &answer.replace(":0,", ":99999999999999999999,"))),
        ("a choice in a list", 422, post(own, &answer.replace(":0,", ":[0],"))),
        ("two choices", 422, post(own, &answer.replace(":0,", ":0,\"choice\":1,"))),
        ("two labelers", 422, post(own, &answer.replace("{", "{\"labeler\":\"ada\","))),
        ("no time", 422, post(own, &answer.replace(",\"ms\":1", ""))),
        ("a time that is negative", 422, post(own, &answer.replace("\"ms\":1", "\"ms\":-1"))),
        ("a list of the values", 422, post(own, r#"["ada","1-0",0,1]"#)),
        ("null", 422, post(own, "null")),
        ("two objects", 400, post(own, &answer.repeat(2))),
        ("a byte order mark", 400, post(own, &format!("\u{feff}{answer}"))),
        ("a skip without its question", 422, to("/api/skip", r#"{"labeler":"ada"}"#)),
        ("a skip of null", 422, to("/api/skip", r#"{"labeler":"ada","id":null}"#)),
        ("a skip of another's question", 409, to("/api/skip", r#"{"labeler":"bob","id":"1-0"}"#)),
        ("a skip in a list", 422, to("/api/skip", r#"["ada","1-0"]"#)),
        ("an undo that names a question", 422, to("/api/undo", r#"{"labeler":"ada","id":"1-0"}"#)),
        ("an undo by nobody", 422, to("/api/undo", "{}")),
        ("an undo in a list", 422, to("/api/undo", r#"["ada"]"#)),
        ("a choice that is not there", 409, post(own, &answer.replace(":0,", ":4,"))),
        ("a question that is not there", 409, post(own, &answer.replace("1-0", "1-7"))),
        ("another's question", 409, post(own, &answer.replace("ada", "bob"))),
        ("a name that is blank", 400, named(" ")),
        ("a name that steers a terminal", 400, named("\u{1b}[2Jada")),
        ("a name of two lines", 400, named("ada\nbob")),
        ("a name without end", 400, named(&"a".repeat(65))),
        ("a path upwards", 404, get("GET /../../etc/passwd HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}")),
        (
            "a path upwards in disguise",
            404,
            get("GET /%2e%2e/labels.jsonl HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}"),
        ),
        (
            "a method that asks",
            405,
            get(
                "OPTIONS /api/answer HTTP/1.1\r\nHost: {host}\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST",
            ),
        ),
        ("a method that only looks", 405, get("HEAD / HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}")),
        (
            "a method that deletes",
            405,
            get("DELETE /api/answer HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nCookie: {cookie}"),
        ),
        (
            "an answer by an address",
            405,
            get("GET /api/answer?labeler=ada&id=1-0&choice=0 HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}"),
        ),
    ];
    for (what, expected, request) in cases {
        let (status, response) = page.send(&request);
        assert_eq!(status, expected, "{what}: {response}");
        assert!(!response.to_lowercase().contains("access-control-allow"), "{what}: {response}");
        assert!(response.contains("content-security-policy: "), "{what}: {response}");
        assert_eq!(page.lines(), 0, "{what}");
    }
    let (status, _) = page.post("/api/answer", &serde_json::from_str(answer).unwrap());
    assert_eq!((status, page.lines()), (200, 1), "and an honest answer is still taken");
}

#[test]
fn a_page_that_is_open_goes_on_when_the_program_runs_again() {
    let page = Page::with_questions(2);
    let (url, port) = (page.url(), page.port);
    let page = page.end()(2);
    assert_eq!(page.url(), url);
    let begin_again = page.end();
    // Another program has the port, and may have got the token from a page that is open.
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let token = |url: &str| url.split_once("token=").unwrap().1.to_string();
    let elsewhere = begin_again(2);
    assert!(elsewhere.port != port && token(&elsewhere.url()) != token(&url));
    let queue = LabelQueue::new(LabelLog::open(&elsewhere.folder.path().join("others.jsonl")).unwrap(), plan(2));
    assert_eq!(LabelServer::start(Arc::new(SharedQueue::new(queue)), "Choose.", port).unwrap_err().exit_code(), 1);
    drop(taken);
}

#[test]
fn a_client_that_never_ends_its_request_is_left() {
    let page = Page::with_questions(1);
    let beginnings = [
        "GET / HTTP/1.1\r\nHost: {host}\r\nX-Slow: ",
        "POST /api/next HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nCookie: {cookie}\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
    ];
    let started = Instant::now();
    let streams = beginnings.map(|beginning| {
        let mut stream = TcpStream::connect(("127.0.0.1", page.port)).unwrap();
        stream.write_all(page.filled(beginning).as_bytes()).unwrap();
        stream
    });
    let (status, _) = page.post("/api/next", &json!({"labeler": "ada"}));
    assert_eq!(status, 200, "others are served meanwhile");
    for mut stream in streams {
        stream.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    assert!(started.elapsed() < Duration::from_secs(25));
}
