//! The page for labelling in Chromium: by keyboard, at 320 pixels, in light and dark colours. Screenshots are
//! kept in `target/tmp/label-page`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::labelling::label_page::Page;

/// Chromium, controlled by the WebDriver protocol (https://www.w3.org/TR/webdriver2/).
struct Browser {
    driver: Child,
    session: String,
}

impl Browser {
    /// Starts Chromium, or returns `None` if there is no Chromium and the environment does not require one.
    fn start() -> Option<Self> {
        let mut driver = match Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn() {
            Ok(driver) => driver,
            Err(error) => {
                assert!(std::env::var_os("PREFTUNE_REQUIRE_CHROMIUM").is_none(), "chromedriver: {error}");
                eprintln!("skipped: no chromedriver");
                return None;
            }
        };
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let started = lines.map_while(Result::ok).find(|line| line.contains("started successfully on port")).unwrap();
        let port = started.trim_end_matches('.').rsplit(' ').next().unwrap();
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            // Without this flag, the browser asks its vendor for updates and more.
            "--disable-background-networking",
            "--disable-component-update",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ];
        let capabilities = json!({"browserName": "chrome", "goog:chromeOptions": {"args": arguments}});
        let sessions = format!("http://127.0.0.1:{port}/session");
        let created = call(&sessions, &json!({"capabilities": {"alwaysMatch": capabilities}}));
        let session = format!("{sessions}/{}", created["sessionId"].as_str().unwrap());
        Some(Self { driver, session })
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        call(&format!("{}/{path}", self.session), body)
    }

    /// Sends a command of Chromium's own protocol.
    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.command("goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    fn open(&self, url: &str) {
        self.command("url", &json!({"url": url}));
    }

    fn run(&self, script: &str) -> Value {
        self.command("execute/sync", &json!({"script": script, "args": []}))
    }

    /// Presses and releases keys in the element that has the focus.
    fn press(&self, keys: &str) {
        let events: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()})))
            .collect();
        self.command("actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": events}]}));
    }

    fn wait_for(&self, script: &str) {
        let started = Instant::now();
        while self.run(&format!("return Boolean({script})")) != json!(true) {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "never: {script}\n{}",
                self.run("return document.body.innerText")
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Sets the size of the window, in CSS pixels.
    fn resize(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 2, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        // Screenshots are as wide as the page without its scrollbar, so the scrollbar is hidden.
        self.devtools("Emulation.setScrollbarsHidden", &json!({"hidden": true}));
    }

    fn prefer(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    fn picture(&self, name: &str) {
        let taken = self.devtools("Page.captureScreenshot", &json!({"captureBeyondViewport": true}));
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("label-page");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), decoded(taken["data"].as_str().unwrap())).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        ureq::delete(&self.session).call().ok();
        self.driver.kill().ok();
        self.driver.wait().ok();
    }
}

fn call(url: &str, body: &Value) -> Value {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut response = agent.post(url).content_type("application/json").send(body.to_string()).unwrap();
    let answer: Value = serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
    assert!(response.status().is_success(), "{url}: {answer}");
    answer["value"].clone()
}

/// Decodes base64.
fn decoded(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u32> =
        text.bytes().filter_map(|byte| ALPHABET.iter().position(|&one| one == byte)).map(|d| d as u32).collect();
    digits
        .chunks(4)
        .flat_map(|four| {
            let bits = four.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - four.len()));
            bits.to_be_bytes()[1..four.len()].to_vec()
        })
        .collect()
}

#[test]
fn a_person_labels_from_the_first_to_the_last_by_keyboard_alone() {
    let Some(browser) = Browser::start() else { return };
    let page = Page::with_questions(5);
    browser.resize(320, 640);
    browser.open(&page.url());
    browser.wait_for("document.getElementById('instructions-text').textContent");
    assert_eq!(browser.run("return location.search"), "", "the token does not stay in the address");
    browser.picture("1-sign-in.png");

    // Two tabs move the focus past the instructions to the name.
    browser.press("\u{e004}\u{e004}");
    assert_eq!(browser.run("return document.activeElement.id"), "labeler");
    browser.press("ada\u{e007}");
    browser.wait_for("document.querySelector('.response')");
    browser.picture("2-question-320.png");
    assert_eq!(browser.run("return document.documentElement.scrollWidth"), 320, "nothing sticks out at 320 pixels");
    // Text from the model creates no element, and is shown literally.
    assert_eq!(browser.run("return document.querySelectorAll('main img, main script').length"), 0);
    let query = browser.run("return document.getElementById('query').textContent");
    assert!(query.as_str().unwrap().starts_with("Query <script>alert(0)</script>"), "{query}");

    browser.press("3");
    browser.wait_for("document.getElementById('query').textContent.includes('alert(1)')");
    assert_eq!(browser.run("return document.getElementById('notice').textContent"), "Saved: 3.");
    browser.press("0");
    browser.wait_for("document.getElementById('query').textContent.includes('alert(2)')");
    browser.press("u");
    browser.wait_for("document.getElementById('query').textContent.includes('alert(1)')");
    browser.press("s");
    browser.wait_for("document.getElementById('query').textContent.includes('alert(2)')");

    browser.prefer("dark");
    browser.picture("3-question-dark-320.png");
    browser.resize(1024, 768);
    browser.picture("4-question-dark.png");
    browser.prefer("light");
    browser.picture("5-question.png");

    // For screen readers, every response is a button with its key and its text.
    let tree = browser.devtools("Accessibility.getFullAXTree", &json!({}));
    let nodes = tree["nodes"].as_array().unwrap();
    let names = |role: &str| -> Vec<&str> {
        let of_role = nodes.iter().filter(|node| node["role"]["value"] == role && node["ignored"] != true);
        of_role.filter_map(|node| node["name"]["value"].as_str()).collect()
    };
    let heading =
        nodes.iter().find(|node| node["name"]["value"] == "The text begins" && node["role"]["value"] == "heading");
    let query = browser.run("return document.getElementById('query').textContent");
    assert_eq!(heading.unwrap()["description"]["value"], query, "the text is read out with its heading");
    let buttons = names("button");
    assert!(buttons.contains(&"1 bad 2.") && buttons.iter().any(|name| name.starts_with("Cannot tell")), "{buttons:?}");
    assert_eq!(names("heading"), ["Which is best?", "The text begins", "and goes on"]);
    assert!(nodes.iter().any(|node| node["role"]["value"] == "status"));

    // Enter presses a button that has the focus, as after tabbing to it.
    browser.run("document.querySelector('#responses button').focus()");
    browser.press("\u{e007}");
    browser.wait_for("document.getElementById('query').textContent.includes('alert(3)')");
    for last in ["alert(4)", "writing the next"] {
        browser.press("1");
        browser.wait_for(&format!("document.body.innerText.includes('{last}')"));
    }
    // Screen readers announce only once that the page waits.
    browser.run(
        "window.said = 0; new MutationObserver(() => window.said++).observe(document.getElementById('notice'), {childList: true})",
    );
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(browser.run("return window.said"), 0);
    page.queue.with(|queue| queue.offer([crate::labelling::label_page::question(8)]));
    browser.wait_for("document.getElementById('query').textContent.includes('alert(8)')");
    browser.press("4");
    browser.wait_for("document.body.innerText.includes('All answers are there')");
    browser.picture("6-done.png");
    let best: Vec<usize> =
        page.queue.with(|queue| queue.log().comparisons().unwrap().iter().map(|one| one.best).collect());
    assert_eq!(best, [0, 1, 1, 1, 3]);
}

#[test]
fn a_page_that_is_open_finds_the_program_again() {
    let Some(browser) = Browser::start() else { return };
    let page = Page::with_questions(3);
    browser.open(&page.url());
    browser.wait_for("document.getElementById('instructions-text').textContent");
    browser.run("document.getElementById('labeler').focus()");
    browser.press("ada\u{e007}");
    browser.wait_for("document.getElementById('query').textContent.includes('alert(0)')");
    let begin_again = page.end();
    browser.press("1");
    browser.wait_for("document.body.innerText.includes('No connection')");
    let page = begin_again(3);
    browser.wait_for("!document.body.innerText.includes('No connection')");
    browser.press("2");
    browser.wait_for("document.getElementById('query').textContent.includes('alert(1)')");
    assert_eq!(page.lines(), 1, "what was not confirmed was not saved");
}
