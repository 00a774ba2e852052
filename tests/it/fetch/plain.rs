//! Labels and books from servers other than a hub.

use std::fs;

use super::{Home, failed, noise};
use crate::support::http_server::{Reply, Server};

const LABELS: &str =
    r#"[{"query": [1, 50259], "sample0": [2], "sample1": [3], "sample2": [4], "sample3": [5], "best": 3}]"#;

const MIRRORED: &str = "/datasets/vwxyzjn/lm-human-preferences/resolve/main/sentiment/offline_5k.json";

#[test]
fn labels_lie_in_a_folder_of_their_own() {
    let home = Home::new();
    let server = Server::start(|_, _| Reply::body(LABELS));
    for (target, path) in [
        ("labels/sentiment", "sentiment/offline_5k.json"),
        ("labels/descriptiveness", "descriptiveness/offline_5k.json"),
        ("labels/tldr", "tldr/online_45k.json"),
        ("labels/cnndm", "cnndm/online_45k.json"),
    ] {
        let place = home.path().join("own/labels").join(path);
        assert_eq!(home.success(&server, &["fetch", target]), format!("{}\n", place.display()));
        assert_eq!(fs::read_to_string(&place).unwrap(), LABELS);
        assert_eq!(fs::read_dir(place.parent().unwrap()).unwrap().count(), 1, "more than the file");
        home.success(&server, &["fetch", target]);
        assert_eq!(server.requests("GET", &format!("/labels/{path}")).len(), 1);
    }
}

#[test]
fn the_mirror_is_asked_where_the_first_address_fails() {
    let home = Home::new();
    let server = Server::start(|request, _| match request.path.as_str() {
        MIRRORED => Reply::body(LABELS),
        _ => Reply::status(409),
    });
    home.success(&server, &["fetch", "labels/sentiment"]);
    assert_eq!(server.requests("GET", MIRRORED).len(), 1);
    let text = home.failure(&server, &["fetch", "labels/cnndm"], 1);
    assert!(text.contains("/labels/cnndm/") && text.contains("and the mirror: ") && text.contains("409"), "{text}");
    let text = home.failure(&server, &["fetch", "labels/tldr"], 1);
    assert!(!text.contains("mirror"), "the mirror does not have it: {text}");
}

#[test]
fn something_else_than_labels_is_a_bad_input_and_not_kept() {
    for body in ["<html>Moved</html>", "[]", r#"[{"query": "text", "best": 0}]"#, &LABELS[..LABELS.len() - 1]] {
        let home = Home::new();
        let text = body.to_string();
        let server = Server::start(move |_, _| Reply::body(text.clone()));
        let text = home.failure(&server, &["fetch", "labels/sentiment"], 4);
        assert!(text.contains("/labels/sentiment/offline_5k.json: "), "{text}");
        assert_eq!(fs::read_dir(home.path().join("own/labels/sentiment")).unwrap().count(), 0);
    }
}

#[test]
fn a_target_that_fails_leaves_the_others() {
    let home = Home::new();
    let server = Server::start(|request, _| match request.path.contains("/sentiment/") {
        true => Reply::status(404),
        false => Reply::body(LABELS),
    });
    let text = home.failure(&server, &["fetch", "labels/sentiment", "labels/tldr"], 1);
    assert!(text.contains("/labels/sentiment/"), "{text}");
    assert!(home.path().join("own/labels/tldr/online_45k.json").exists());
}

#[test]
fn books_are_fetched_by_number_one_after_the_other() {
    let home = Home::new();
    let server = Server::start(|request, _| Reply::body(format!("\u{feff}Text of {}", request.path)));
    let printed = home.success(&server, &["fetch", "books", "84", "1342"]);
    let place = |number: u32| home.path().join(format!("own/books/pg{number}.txt"));
    assert_eq!(printed, format!("{}\n{}\n", place(84).display(), place(1342).display()));
    assert_eq!(fs::read_to_string(place(84)).unwrap(), "\u{feff}Text of /cache/epub/84/pg84.txt");
    let printed = home.success(&server, &["fetch", "books"]);
    assert_eq!(printed, format!("{}\n", home.path().join("own/books").display()));
    assert_eq!(server.requests("GET", ".txt").len(), 10, "84 and 1342 are among the usual novels");
    assert!(
        server.requests("GET", "").iter().all(|request| request.header("user-agent").unwrap().contains("preftune"))
    );
}

#[test]
fn a_book_that_is_not_there_is_an_error() {
    let home = Home::new();
    let server = Server::start(|request, _| match request.path.as_str() {
        "/cache/epub/1/pg1.txt" => Reply::body("<!DOCTYPE html>"),
        _ => Reply::status(404),
    });
    assert!(home.failure(&server, &["fetch", "books", "99999999"], 1).contains("gutenberg.org/ebooks/99999999"));
    assert!(home.failure(&server, &["fetch", "books", "1"], 4).contains("/pg1.txt: the server sent"));
    assert_eq!(fs::read_dir(home.path().join("own/books")).unwrap().count(), 0);
}

/// Returns a text of letters, which passes for a book.
fn book(first: char) -> Vec<u8> {
    let letters = noise(500_000).iter().map(|byte| b'a' + byte % 26).collect::<Vec<_>>();
    [first.to_string().as_bytes(), &letters].concat()
}

#[test]
fn a_cut_book_goes_on_if_it_is_the_same_version() {
    let home = Home::new();
    let server = Server::start(|request, before| {
        let reply = Reply::body(book('A')).header("ETag", "\"one\"").ranged(request);
        if before == 0 { reply.cut_after(200_000) } else { reply }
    });
    home.success(&server, &["fetch", "books", "84"]);
    assert_eq!(server.ranges("pg84.txt"), ["", "bytes=200000-"]);
    assert_eq!(server.requests("GET", "pg84.txt")[1].header("if-range"), Some("\"one\""));
    assert_eq!(fs::read(home.path().join("own/books/pg84.txt")).unwrap(), book('A'));
}

#[test]
fn a_cut_book_begins_anew_if_the_server_has_another_version() {
    // The servers are one that supports If-Range, one that does not, and one that names no versions.
    for (knows_if_range, names_versions) in [(true, true), (false, true), (false, false)] {
        let home = Home::new();
        let server = Server::start(move |request, before| {
            let (version, letter) = if before == 0 { ("\"one\"", 'A') } else { ("\"two\"", 'B') };
            let mut reply = Reply::body(book(letter));
            if names_versions {
                reply = reply.header("ETag", version);
            }
            if !(knows_if_range && request.header("if-range") != Some(version)) {
                reply = reply.ranged(request);
            }
            if before == 0 { reply.cut_after(200_000) } else { reply }
        });
        home.success(&server, &["fetch", "books", "84"]);
        assert_eq!(fs::read(home.path().join("own/books/pg84.txt")).unwrap(), book('B'));
        assert_eq!(server.requests("GET", "pg84.txt").len(), if knows_if_range || !names_versions { 2 } else { 3 });
        assert_eq!(fs::read_dir(home.path().join("own/books")).unwrap().count(), 1, "more than the book");
    }
}

#[test]
fn nothing_is_fetched_offline() {
    let home = Home::new();
    let server = Server::start(|_, _| Reply::body(LABELS));
    let run = |target: &[&str]| home.command(&server.url(), target).env("HF_HUB_OFFLINE", "1").output().unwrap();
    assert!(failed(&run(&["fetch", "labels/sentiment"]), 1).contains("HF_HUB_OFFLINE"));
    assert!(failed(&run(&["fetch", "books", "84"]), 1).contains("HF_HUB_OFFLINE"));
    assert!(server.requests("GET", "").is_empty());
    home.success(&server, &["fetch", "labels/sentiment"]);
    assert!(run(&["fetch", "labels/sentiment"]).status.success());
}
