//! `preftune fetch` as a person runs it, against a server on this machine.

mod hostile;
mod models;
mod plain;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::http_server::{HubModel, Reply, Request, Server};

/// A home folder of a test, and an environment that names only this folder and the server.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, server: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_preftune"));
        for (name, _) in std::env::vars() {
            let known = ["HF_", "HUGGING", "TRANSFORMERS_", "PREFTUNE_", "XDG_", "SSL_"];
            if known.iter().any(|start| name.starts_with(start)) || name.to_lowercase().ends_with("_proxy") {
                command.env_remove(name);
            }
        }
        command.args(["--quiet", "--device", "ndarray"]).args(arguments).current_dir(self.path());
        command.env("HF_HOME", self.path().join("hf")).env("PREFTUNE_HOME", self.path().join("own"));
        command.env("HF_ENDPOINT", server).env("PREFTUNE_LABELS", format!("{server}/labels"));
        command.env("PREFTUNE_GUTENBERG", server).env("PREFTUNE_RETRY_SECS", "0.01");
        command
    }

    fn run(&self, server: &Server, arguments: &[&str]) -> Output {
        self.command(&server.url(), arguments).output().unwrap()
    }

    /// Runs a command that must succeed, and returns its stdout.
    fn success(&self, server: &Server, arguments: &[&str]) -> String {
        succeeded(&self.run(server, arguments))
    }

    /// Runs a command that must fail with this exit code, and returns its stderr.
    fn failure(&self, server: &Server, arguments: &[&str], code: i32) -> String {
        failed(&self.run(server, arguments), code)
    }

    fn model(&self, model: &HubModel) -> PathBuf {
        self.path().join("hf/hub").join(format!("models--{}", model.repository.replace('/', "--")))
    }

    fn partial_weights(&self, model: &HubModel) -> PathBuf {
        self.model(model).join("blobs").join(format!("{}.incomplete", model.etag("model.safetensors")))
    }

    /// Checks that neither the file nor its content is in the cache.
    fn has_nothing_of(&self, model: &HubModel, file: &str) -> bool {
        let snapshot = self.model(model).join("snapshots").join(&model.commit).join(file);
        fs::symlink_metadata(snapshot).is_err() && !self.model(model).join("blobs").join(model.etag(file)).exists()
    }
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn failed(output: &Output, code: i32) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains("error: ") && text.contains("hint: "), "{text}");
    assert!(output.stdout.is_empty(), "data on stdout of a failure");
    text
}

/// Returns bytes that differ everywhere, so that a range in the wrong place is noticed.
fn noise(length: usize) -> Vec<u8> {
    (0..length as u64).map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

fn small_model() -> HubModel {
    let weights = noise(700_001);
    HubModel::new(
        "someone/small",
        &[("config.json", b"{}\n"), ("tokenizer.json", b"{\"a\":1}"), ("model.safetensors", &weights)],
    )
}

fn serve(model: &HubModel) -> Server {
    serve_with(model, |_, _, reply| reply)
}

/// Starts a hub whose answers are changed by `change`, which gets the number of earlier requests of the same
/// kind.
fn serve_with(model: &HubModel, change: impl Fn(&Request, usize, Reply) -> Reply + Send + Sync + 'static) -> Server {
    let model = model.clone();
    Server::start(move |request, before| change(request, before, model.answer(request)))
}

/// Checks whether a request asks for the weights themselves.
fn is_weights(request: &Request) -> bool {
    request.method == "GET" && request.path.ends_with("model.safetensors")
}
