//! Servers that refuse, fail, send wrong files, or attack.

use std::fs;

use super::{Home, failed, is_weights, noise, serve, serve_with, small_model, succeeded};
use crate::support::http_server::{HubModel, Reply, Server};

#[test]
fn another_length_than_announced_is_not_kept() {
    let (home, model) = (Home::new(), small_model());
    let server = serve_with(&model, |request, _, reply| match is_weights(request) {
        true => Reply::body(noise(700_002)),
        false => reply,
    });
    let text = home.failure(&server, &["fetch", "someone/small"], 1);
    assert!(text.contains("should have 700001 bytes, but the server sends 700002"), "{text}");
    assert!(home.has_nothing_of(&model, "model.safetensors") && !home.partial_weights(&model).exists());
    assert!(!home.model(&model).join("refs/main").exists(), "a revision without its weights");
}

#[test]
fn more_bytes_than_announced_are_not_kept() {
    let (home, model) = (Home::new(), small_model());
    let server = serve_with(&model, |request, _, reply| match is_weights(request) {
        // Without a length, the body ends where the connection ends.
        true => Reply::body(noise(700_002)).header("Content-Length", "").header("Transfer-Encoding", "identity"),
        false => reply,
    });
    home.failure(&server, &["fetch", "someone/small"], 1);
    assert!(home.has_nothing_of(&model, "model.safetensors"));
}

#[test]
fn another_content_than_announced_is_not_kept() {
    for file in ["model.safetensors", "tokenizer.json"] {
        let (home, model) = (Home::new(), small_model());
        let server = serve_with(&model, move |request, _, mut reply| {
            if request.method == "GET" && request.path.ends_with(file) {
                reply.body[5] ^= 1;
            }
            reply
        });
        let text = home.failure(&server, &["fetch", "someone/small"], 1);
        let kind = if file == "tokenizer.json" { "git blob SHA-1" } else { "SHA-256" };
        assert!(text.contains(&format!("{file}: its {kind} should be {}", model.etag(file))), "{text}");
        assert!(home.has_nothing_of(&model, file));
        let blobs = fs::read_dir(home.model(&model).join("blobs")).unwrap();
        let incomplete = |name: &str| name.ends_with(".incomplete");
        assert!(!blobs.flatten().any(|entry| incomplete(&entry.file_name().to_string_lossy())), "a bad part stays");
        home.success(&serve(&model), &["fetch", "someone/small"]);
    }
}

#[test]
fn a_part_of_another_file_is_found_out() {
    let (home, model) = (Home::new(), small_model());
    let partial = home.partial_weights(&model);
    fs::create_dir_all(partial.parent().unwrap()).unwrap();
    fs::write(&partial, vec![7; 1000]).unwrap();
    let server = serve(&model);
    assert!(home.failure(&server, &["fetch", "someone/small"], 1).contains("SHA-256"));
    home.success(&server, &["fetch", "someone/small"]);
    assert_eq!(server.ranges("model.safetensors"), ["bytes=1000-", ""]);
}

#[test]
fn a_file_that_is_not_there_is_said_to_be_missing() {
    let (home, model) = (Home::new(), small_model());
    let server = serve(&model);
    let text = home.failure(&server, &["fetch", "someone/else"], 1);
    assert!(text.contains("404 Not Found") && text.contains("check the name and the revision"), "{text}");
    assert_eq!(server.requests("HEAD", "config.json").len(), 1, "a refusal was asked for again");
    let without_weights = HubModel::new("someone/old", &[("config.json", b"{}"), ("tokenizer.json", b"{}")]);
    let text = home.failure(&serve(&without_weights), &["fetch", "someone/old"], 1);
    assert!(text.contains("someone/old has no model.safetensors"), "{text}");
}

#[test]
fn a_gated_model_needs_a_token() {
    let (home, model) = (Home::new(), small_model());
    let server = serve_with(&model, |request, _, reply| match request.header("authorization") {
        Some("Bearer hf_secret") => reply,
        Some(_) => Reply::status(403),
        None => Reply::status(401),
    });
    let text = home.failure(&server, &["fetch", "someone/small"], 1);
    assert!(text.contains("401 Unauthorized") && text.contains("HF_TOKEN") && text.contains("gated"), "{text}");
    let with =
        |token: &str| home.command(&server.url(), &["fetch", "someone/small"]).env("HF_TOKEN", token).output().unwrap();
    assert!(failed(&with("hf_other"), 1).contains("403 Forbidden"));
    assert!(failed(&with("hf\u{7f}"), 2).contains("a token cannot have"));
    fs::create_dir_all(home.path().join("hf")).unwrap();
    fs::write(home.path().join("hf/token"), "hf_secret\n").unwrap();
    home.success(&server, &["fetch", "someone/small"]);
}

#[test]
fn a_server_that_stumbles_is_asked_again() {
    let (home, model) = (Home::new(), small_model());
    let server = serve_with(&model, |request, before, reply| match (request.method.as_str(), before) {
        ("HEAD", 0) => Reply::status(500),
        ("GET", 0) => Reply::status(429).header("Retry-After", 0),
        ("GET", 1) => Reply::status(503),
        _ => reply,
    });
    home.success(&server, &["fetch", "someone/small"]);
    assert_eq!(server.requests("GET", "model.safetensors").len(), 3);
}

#[test]
fn a_server_that_only_stumbles_is_given_up() {
    let (home, model) = (Home::new(), small_model());
    let server = serve_with(&model, |_, _, _| Reply::status(502));
    let text = home.failure(&server, &["fetch", "someone/small"], 1);
    assert!(text.contains("502 Bad Gateway, 5 times in a row"), "{text}");
    assert_eq!(server.requests("HEAD", "config.json").len(), 5);
}

#[test]
fn a_server_that_always_cuts_at_the_same_byte_is_given_up() {
    let (home, model) = (Home::new(), small_model());
    let whole = model.files[2].1.clone();
    let server = serve_with(&model, move |request, before, reply| match (is_weights(request), before % 2) {
        (true, 0) => Reply::body(whole.clone()).cut_after(1000),
        // The server also answers a range request with the wrong range.
        (true, _) => Reply { status: 206, ..Reply::body(&whole[..10]).header("Content-Range", "bytes 0-9/700001") },
        _ => reply,
    });
    home.failure(&server, &["fetch", "someone/small"], 1);
    assert!(server.requests("GET", "model.safetensors").len() <= 6);
}

#[test]
fn the_token_stays_with_the_hub() {
    let (home, model) = (Home::new(), small_model());
    let contents = model.clone();
    let elsewhere = Server::start(move |request, _| {
        let path = request.path.strip_suffix("?signature=x").unwrap();
        let bytes = &contents.files.iter().find(|(name, ..)| path.ends_with(name)).unwrap().1;
        Reply::body(bytes.clone()).ranged(request)
    });
    // The hub redirects first to itself, as for a renamed model, and then to its storage, with the file's
    // facts in the headers.
    let moved = HubModel { repository: format!("moved/{}", model.repository), ..model.clone() };
    let storage = elsewhere.other_url();
    let hub = Server::start(move |request, _| {
        if !request.path.starts_with("/moved/") {
            return Reply::status(307).header("Location", format!("/moved{}", request.path));
        }
        let found = moved.answer(request);
        if found.status != 200 {
            return found;
        }
        let etag = found.headers.iter().find(|(name, _)| name == "ETag").unwrap().1.clone();
        let reply =
            Reply { status: 302, ..found.clone() }.header("Location", format!("{storage}{}?signature=x", request.path));
        let reply =
            reply.header("X-Linked-Size", found.body.len()).header("X-Linked-Etag", etag.trim_start_matches("W/"));
        Reply { body: b"see there".to_vec(), ..reply.header("ETag", "\"other\"") }
    });
    let mut command = home.command(&hub.url(), &["fetch", "someone/small"]);
    let printed = succeeded(&command.env("HF_TOKEN", "hf_secret").output().unwrap());
    assert_eq!(fs::read(format!("{}/model.safetensors", printed.trim_end())).unwrap(), noise(700_001));
    let (asked, told) = (elsewhere.requests("GET", ""), hub.requests("GET", ""));
    assert_eq!((asked.len(), elsewhere.requests("HEAD", "").len()), (3, 0));
    assert!(asked.iter().all(|request| request.header("authorization").is_none()), "the token went elsewhere");
    assert!(told.iter().all(|request| request.header("authorization") == Some("Bearer hf_secret")));
}

#[test]
fn redirects_in_a_circle_end() {
    let home = Home::new();
    let server = Server::start(|request, _| Reply::status(302).header("Location", format!("{}/x", request.path)));
    let text = home.failure(&server, &["fetch", "someone/small"], 1);
    assert!(text.contains("redirected more than 5 times"), "{text}");
    assert_eq!(server.requests("HEAD", "").len(), 6);
}

#[test]
fn a_redirect_to_nowhere_is_an_error() {
    let home = Home::new();
    for location in ["file:///etc/passwd", "http://", "gopher://host/x"] {
        let server = Server::start(move |_, _| Reply::status(302).header("Location", location));
        let text = home.failure(&server, &["fetch", "books", "84"], 1);
        assert!(text.contains("no web address") || text.contains("404") || text.contains("times"), "{text}");
    }
}

#[test]
fn names_that_lead_out_of_the_cache_are_refused() {
    for (header, value) in [
        ("ETag", "\"../../../../escaped\""),
        ("ETag", "W/\"..\""),
        ("X-Linked-Etag", "/etc/escaped"),
        ("ETag", "\"a\\b\""),
        ("X-Repo-Commit", "../../../../escaped"),
        ("X-Repo-Commit", "main"),
    ] {
        let (home, model) = (Home::new(), small_model());
        let server = serve_with(&model, move |_, _, reply| reply.header(header, value));
        let text = home.failure(&server, &["fetch", "someone/small"], 1);
        assert!(text.contains("which no hub sends here"), "{text}");
        assert!(!home.path().join("hf").exists(), "{value}: something was written");
    }
}

#[test]
fn a_commit_that_is_another_than_asked_for_is_refused() {
    let (home, model) = (Home::new(), small_model());
    let server = serve_with(&model, |request, _, reply| match request.path.ends_with("tokenizer.json") {
        true => reply.header("X-Repo-Commit", "cd".repeat(20)),
        false => reply,
    });
    let text = home.failure(&server, &["fetch", "someone/small"], 1);
    assert!(text.contains("which no hub sends here"), "{text}");
}

#[test]
fn a_token_is_not_sent_in_the_clear_over_a_network() {
    let home = Home::new();
    // The server is never asked: its name cannot exist.
    let mut command = home.command("http://hub.invalid", &["fetch", "someone/small"]);
    let text = failed(&command.env("HF_TOKEN", "hf_secret").output().unwrap(), 2);
    assert!(text.contains("in the clear") && !text.contains("hf_secret"), "{text}");
}

#[test]
fn what_cannot_be_fetched_is_wrong_usage() {
    let (home, server) = (Home::new(), Server::start(|_, _| Reply::status(404)));
    let text = home.failure(&server, &["fetch", "gtp2"], 2);
    assert!(text.contains("did you mean gpt2?"), "{text}");
    assert!(home.failure(&server, &["fetch", "../evil"], 2).contains("OWNER/NAME"));
    assert_eq!(home.run(&server, &["fetch"]).status.code(), Some(2));
    assert!(server.requests("HEAD", "").is_empty());
}
