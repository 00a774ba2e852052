//! Models from a hub: the files in the cache afterwards, and the requests that are repeated.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Home, failed, is_weights, noise, serve, serve_with, small_model, succeeded};
use crate::support::http_server::{HubModel, Reply, Server};

#[test]
fn a_model_lies_in_the_layout_of_the_hub() {
    let (home, model) = (Home::new(), small_model());
    let server = serve(&model);
    let printed = home.success(&server, &["fetch", "someone/small"]);
    let folder = home.model(&model);
    let snapshot = folder.join("snapshots").join(&model.commit);
    assert_eq!(printed, format!("{}\n", snapshot.display()));
    assert_eq!(fs::read_to_string(folder.join("refs/main")).unwrap(), model.commit);
    for (name, bytes, etag) in &model.files {
        assert_eq!(&fs::read(snapshot.join(name)).unwrap(), bytes);
        assert_eq!(&fs::read(folder.join("blobs").join(etag)).unwrap(), bytes);
        #[cfg(unix)]
        assert_eq!(fs::read_link(snapshot.join(name)).unwrap(), Path::new("../../blobs").join(etag));
    }
    assert_eq!(fs::read_dir(folder.join("blobs")).unwrap().count(), 3);
    assert_eq!(fs::read_dir(&snapshot).unwrap().count(), 3);
    let locks = folder.parent().unwrap().join(".locks/models--someone--small");
    assert!(locks.join(format!("{}.lock", model.etag("model.safetensors"))).exists());
    let asked = server.requests("GET", "model.safetensors");
    assert_eq!(asked[0].header("accept-encoding"), Some("identity"));
    assert!(asked[0].path.contains(&model.commit), "not at the commit: {}", asked[0].path);
}

#[test]
fn what_is_there_is_not_downloaded_again() {
    let (home, model) = (Home::new(), small_model());
    let server = serve(&model);
    let first = home.success(&server, &["fetch", "someone/small", "--json"]);
    let second = home.success(&server, &["fetch", "someone/small", "--json"]);
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["fetched"][0].clone();
    let (first, second) = (json(&first), json(&second));
    assert_eq!((&first["from_cache"], &second["from_cache"]), (&false.into(), &true.into()));
    assert_eq!((&first["revision"], &first["path"]), (&model.commit.clone().into(), &second["path"]));
    assert_eq!((&first["bytes"], &first["target"]), (&700_011.into(), &"someone/small".into()));
    assert_eq!(first["files"].as_array().unwrap().len(), 3);
    assert_eq!(server.requests("GET", "").len(), 3);
}

#[test]
fn a_new_commit_shares_what_did_not_change() {
    let (home, model) = (Home::new(), small_model());
    home.success(&serve(&model), &["fetch", "someone/small"]);
    let mut newer = model.clone();
    newer.commit = "ab".repeat(20);
    newer.files[0] = HubModel::new("", &[("config.json", b"{\"new\":1}")]).files[0].clone();
    let server = serve(&newer);
    let printed = home.success(&server, &["fetch", "someone/small"]);
    assert!(printed.contains(&newer.commit), "{printed}");
    assert_eq!(fs::read_to_string(home.model(&model).join("refs/main")).unwrap(), newer.commit);
    assert_eq!(server.requests("GET", "").len(), 1);
    let old = home.model(&model).join("snapshots").join(&model.commit).join("config.json");
    assert_eq!(fs::read(old).unwrap(), b"{}\n");
}

#[test]
fn the_cache_is_enough_offline_and_where_the_hub_cannot_be_reached() {
    let (home, model) = (Home::new(), small_model());
    let server = serve(&model);
    let printed = home.success(&server, &["fetch", "someone/small@v1"]);
    let gone = server.url();
    drop(server);
    let offline = |name: &str| home.command(&gone, &["fetch", name]).env("HF_HUB_OFFLINE", "1").output().unwrap();
    assert_eq!(succeeded(&offline("someone/small@v1")), printed);
    assert_eq!(succeeded(&offline(&format!("someone/small@{}", model.commit))), printed);
    assert!(failed(&offline("someone/small"), 1).contains("HF_HUB_OFFLINE"), "another revision was taken");
    assert!(failed(&offline("gpt2"), 1).contains("openai-community/gpt2"));
    let unreachable = home.command(&gone, &["fetch", "someone/small@v1"]).output().unwrap();
    assert_eq!(succeeded(&unreachable), printed);
    assert!(String::from_utf8_lossy(&unreachable.stderr).contains("the cached files are used"));
}

#[test]
fn without_tokenizer_json_its_two_parts_are_fetched() {
    let home = Home::new();
    let files: [(&str, &[u8]); 4] =
        [("config.json", b"{}"), ("vocab.json", b"{}"), ("merges.txt", b"#"), ("model.safetensors", b"w")];
    let model = HubModel::new("openai-community/gpt2", &files);
    let server = serve(&model);
    let snapshot = home.success(&server, &["fetch", "gpt2"]);
    let mut names: Vec<_> =
        fs::read_dir(snapshot.trim_end()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["config.json", "merges.txt", "model.safetensors", "vocab.json"]);
    assert_eq!(preftune_cached(&home, &server), snapshot);
}

/// Finds by the name with its owner what the short name fetched, from the cache alone.
fn preftune_cached(home: &Home, server: &Server) -> String {
    let mut command = home.command(&server.url(), &["fetch", "openai-community/gpt2"]);
    succeeded(&command.env("HF_HUB_OFFLINE", "yes").output().unwrap())
}

#[test]
fn a_revision_with_slashes_is_one_part_of_the_address() {
    let (home, model) = (Home::new(), small_model());
    home.success(&serve(&model), &["fetch", "someone/small@refs/pr/1"]);
    assert_eq!(fs::read_to_string(home.model(&model).join("refs/refs/pr/1")).unwrap(), model.commit);
}

#[test]
fn a_cut_connection_goes_on_where_it_was() {
    let (home, model) = (Home::new(), small_model());
    let server = serve_with(&model, |request, before, reply| match is_weights(request) && before < 2 {
        true => reply.cut_after(300_000),
        false => reply,
    });
    let snapshot = home.success(&server, &["fetch", "someone/small"]);
    assert_eq!(server.ranges("model.safetensors"), ["", "bytes=300000-", "bytes=600000-"]);
    assert_eq!(fs::read(Path::new(snapshot.trim_end()).join("model.safetensors")).unwrap(), noise(700_001));
    assert!(!home.partial_weights(&model).exists());
}

#[test]
fn a_silent_server_is_left_and_asked_again() {
    let (home, model) = (Home::new(), small_model());
    let server = serve_with(&model, |request, before, reply| match is_weights(request) && before == 0 {
        true => Reply { silence: Duration::from_secs(30), ..reply.cut_after(300_000) },
        false => reply,
    });
    let mut command = home.command(&server.url(), &["fetch", "someone/small"]);
    succeeded(&command.env("HF_HUB_DOWNLOAD_TIMEOUT", "0.5").output().unwrap());
    assert_eq!(server.ranges("model.safetensors"), ["", "bytes=300000-"]);
}

#[test]
fn a_server_that_ignores_ranges_sends_all_again() {
    let (home, model) = (Home::new(), small_model());
    let whole = model.clone();
    let server = serve_with(&model, move |request, before, reply| match (is_weights(request), before) {
        (true, 0) => reply.cut_after(300_000),
        (true, _) => Reply::body(whole.files[2].1.clone()),
        _ => reply,
    });
    let snapshot = home.success(&server, &["fetch", "someone/small"]);
    assert_eq!(server.ranges("model.safetensors"), ["", "bytes=300000-"]);
    assert_eq!(fs::read(Path::new(snapshot.trim_end()).join("model.safetensors")).unwrap(), noise(700_001));
}

#[cfg(unix)]
#[test]
fn an_interrupted_download_goes_on_next_time() {
    let (home, model) = (Home::new(), small_model());
    let server = serve_with(&model, |request, before, reply| match is_weights(request) && before == 0 {
        true => Reply { silence: Duration::from_secs(30), ..reply.cut_after(300_000) },
        false => reply,
    });
    let mut command = home.command(&server.url(), &["fetch", "someone/small"]);
    let running = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let partial = home.partial_weights(&model);
    let began = Instant::now();
    while fs::metadata(&partial).map_or(0, |found| found.len()) < 300_000 {
        assert!(began.elapsed() < Duration::from_secs(10), "nothing arrives");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::process::Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap();
    let text = failed(&running.wait_with_output().unwrap(), 130);
    assert!(text.contains(".incomplete"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(10), "the silent server was waited for");
    assert_eq!(fs::read(&partial).unwrap(), noise(700_001)[..300_000]);
    home.success(&server, &["fetch", "someone/small"]);
    assert_eq!(server.ranges("model.safetensors"), ["", "bytes=300000-"]);
}

#[test]
fn two_processes_fetch_a_file_once() {
    let (home, model) = (Home::new(), small_model());
    let server = serve_with(&model, |request, _, reply| {
        // The delay is long enough for the other process to find the lock taken.
        std::thread::sleep(Duration::from_millis(if is_weights(request) { 1000 } else { 0 }));
        reply
    });
    let start = || {
        let mut command = home.command(&server.url(), &["fetch", "someone/small"]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()].map(|process| process.wait_with_output().unwrap());
    assert_eq!(succeeded(&both[0]), succeeded(&both[1]));
    assert_eq!(server.requests("GET", "model.safetensors").len(), 1);
}

/// Serves the shipped model as a model of the hub.
fn storyteller(repository: &str) -> HubModel {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/storyteller");
    let names = ["config.json", "model.safetensors", "tokenizer.json"];
    let contents = names.map(|name| fs::read(shipped.join(name)).unwrap());
    let files: Vec<_> = names.iter().zip(&contents).map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    HubModel::new(repository, &files)
}

#[test]
fn a_fetched_model_is_known_by_its_name() {
    let home = Home::new();
    let server = serve(&storyteller("openai-community/gpt2"));
    let few = ["--query", "A door.", "--set", "task.response_length_tokens=6"];
    let sample = |name: &str| home.run(&server, &[&["sample", "--model", name][..], &few].concat());
    let missing = failed(&sample("gpt2"), 4);
    assert!(missing.contains("gpt2: no such model") && missing.contains("`preftune fetch gpt2`"), "{missing}");
    assert!(!failed(&sample("nowhere"), 4).contains("preftune fetch"), "nowhere cannot be fetched");
    home.success(&server, &["fetch", "gpt2"]);
    let by_name = succeeded(&sample("gpt2"));
    assert_eq!(by_name, succeeded(&sample("openai-community/gpt2")));
    assert_eq!(by_name, succeeded(&sample("storyteller")));
    assert_eq!(server.requests("GET", "").len(), 3, "a look-up that asked the network");

    // Older tools stored this model without its owner.
    let hub = home.path().join("hf/hub");
    fs::rename(hub.join("models--openai-community--gpt2"), hub.join("models--gpt2")).unwrap();
    assert_eq!(by_name, succeeded(&sample("gpt2")));
    fs::remove_file(hub.join("models--gpt2/refs/main")).unwrap();
    failed(&sample("gpt2"), 4);
}

#[test]
fn a_run_folder_knows_a_fetched_model_by_its_content() {
    let home = Home::new();
    let server = serve(&storyteller("someone/tale"));
    home.success(&server, &["fetch", "someone/tale"]);
    fs::write(home.path().join("queries.txt"), "The door opened.\n").unwrap();
    let few = ["--queries", "queries.txt", "--set", "labels.comparisons=2", "--run", "run"];
    home.success(&server, &[&["label", "--simulated", "--model", "someone/tale"], &few[..]].concat());
    let begun_for = fs::read_to_string(home.path().join("run/run.json")).unwrap();
    assert!(begun_for.contains("\"name\": \"someone/tale\",\n      \"sha256\": \""), "{begun_for}");
}

#[test]
fn parts_are_fetched_with_their_index_and_companions_where_they_are() {
    let index =
        br#"{"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}}"#;
    let files: [(&str, &[u8]); 8] = [
        ("config.json", b"{}"),
        ("tokenizer.json", b"{\"a\":0}"),
        ("model.safetensors.index.json", index),
        ("model-1.safetensors", b"one"),
        ("model-2.safetensors", b"two"),
        ("generation_config.json", b"{\"a\":1}"),
        ("tokenizer_config.json", b"{\"a\":2}"),
        ("added_tokens.json", b"{\"a\":3}"),
    ];
    let (home, model) = (Home::new(), HubModel::new("someone/parts", &files));
    let server = serve(&model);
    let snapshot = home.success(&server, &["fetch", "someone/parts"]);
    for (name, bytes) in files {
        assert_eq!(fs::read(Path::new(snapshot.trim_end()).join(name)).unwrap(), bytes, "{name}");
    }
    assert_eq!(fs::read_dir(snapshot.trim_end()).unwrap().count(), files.len());
    assert_eq!(server.requests("GET", "").len(), files.len());

    let offline =
        || home.command(&server.url(), &["fetch", "someone/parts"]).env("HF_HUB_OFFLINE", "1").output().unwrap();
    assert_eq!(succeeded(&offline()), snapshot);
    fs::remove_file(Path::new(snapshot.trim_end()).join("model-1.safetensors")).unwrap();
    assert!(failed(&offline(), 1).contains("HF_HUB_OFFLINE"), "a model without one of its parts was taken");
}

#[test]
fn an_index_cannot_place_a_part_outside() {
    let index = br#"{"weight_map": {"a": "../../../model.safetensors"}}"#;
    let files: [(&str, &[u8]); 3] =
        [("config.json", b"{}"), ("tokenizer.json", b"{}"), ("model.safetensors.index.json", index)];
    let (home, model) = (Home::new(), HubModel::new("someone/outside", &files));
    let text = home.failure(&serve(&model), &["fetch", "someone/outside"], 4);
    assert!(text.contains("../../../model.safetensors"), "{text}");
}
