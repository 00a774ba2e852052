//! Damaged files of a tokenizer: each is refused with a reason, or gives the same tokens as a slow byte-level
//! BPE that reads the same file.

use std::collections::HashMap;
use std::path::Path;

use preftune::Result;
use preftune::lm::{END_OF_TEXT, Tokenizer, TokenizerFiles};
use preftune::random::{Stream, below, generator};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

const TEXTS: [&str; 8] = [
    "The old house stood by the sea.",
    " two  spaces\n\n\nand lines\t",
    "it's we'll they've I'd 's '",
    "a1b22 3.14 x2y ---!!! ...",
    "“Çédille” — 漢字 🐱\u{200d}",
    "<|endoftext|>The<|endoftext|> end <|x|>of<|x|>",
    "zzz qqq THE The tHe",
    "",
];

/// A plain implementation of the steps of `encoder.py` and of the added tokens of the tokenizers library.
struct SlowBpe {
    vocabulary: HashMap<String, u32>,
    ranks: HashMap<(String, String), usize>,
    added: Vec<Added>,
    adds_space: bool,
    splits: bool,
}

#[derive(Clone, serde::Deserialize)]
struct Added {
    id: u32,
    content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
}

impl SlowBpe {
    fn new(json: &Value) -> Self {
        let mut added: Vec<Added> = serde_json::from_value(json["added_tokens"].clone()).unwrap_or_default();
        let vocabulary: HashMap<String, u32> = serde_json::from_value(json["model"]["vocab"].clone()).unwrap();
        if let Some(&id) = vocabulary.get(END_OF_TEXT)
            && added.iter().all(|token| token.content != END_OF_TEXT)
        {
            let content = END_OF_TEXT.into();
            added.push(Added { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false });
        }
        let pair = |merge: &Value| match merge.as_str() {
            Some(text) => text.split_once(' ').map(|(a, b)| (a.to_string(), b.to_string())).unwrap(),
            None => (merge[0].as_str().unwrap().to_string(), merge[1].as_str().unwrap().to_string()),
        };
        let merges = json["model"]["merges"].as_array().unwrap().iter().map(pair);
        let step = &json["pre_tokenizer"];
        Self {
            vocabulary,
            ranks: merges.zip(0..).collect(),
            added,
            adds_space: step["add_prefix_space"].as_bool().unwrap(),
            splits: step.get("use_regex").is_none_or(|splits| splits.as_bool().unwrap()),
        }
    }

    fn strips(&self) -> bool {
        self.added.iter().any(|token| token.lstrip || token.rstrip)
    }

    fn encode(&self, text: &str, is_beginning: bool) -> Vec<u32> {
        let mut parts = vec![(None, text.to_string())];
        for normalized in [false, true] {
            let split = |(id, part): (Option<u32>, String)| match id {
                Some(_) => vec![(id, part)],
                None => self.split_by_added(&part, normalized),
            };
            parts = parts.into_iter().flat_map(split).collect();
        }
        let mut ids = Vec::new();
        for (id, part) in parts {
            match id {
                Some(id) => ids.push(id),
                None if part.is_empty() => {}
                None => {
                    let space = if is_beginning && self.adds_space && !part.starts_with(' ') { " " } else { "" };
                    let part = format!("{space}{part}");
                    let pieces = if self.splits { pieces(&part) } else { vec![part] };
                    ids.extend(pieces.iter().flat_map(|piece| self.merged(piece)));
                }
            }
        }
        ids
    }

    fn split_by_added(&self, text: &str, normalized: bool) -> Vec<(Option<u32>, String)> {
        let (mut parts, mut done, mut at) = (Vec::new(), 0, 0);
        while at < text.len() {
            let here = |token: &&Added| token.normalized == normalized && text[at..].starts_with(&token.content);
            let Some(token) = self.added.iter().filter(here).max_by_key(|token| token.content.len()) else {
                at += text[at..].chars().next().unwrap().len_utf8();
                continue;
            };
            let (start, end) = (at, at + token.content.len());
            at = end;
            let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            if token.single_word && (is_word(text[..start].chars().next_back()) || is_word(text[end..].chars().next()))
            {
                continue;
            }
            let start = if token.lstrip { text[..start].trim_end().len().max(done) } else { start };
            let end = if token.rstrip { text.len() - text[end..].trim_start().len() } else { end };
            if start > done {
                parts.push((None, text[done..start].to_string()));
            }
            parts.push((Some(token.id), text[start..end].to_string()));
            done = end;
        }
        parts.push((None, text[done..].to_string()));
        parts
    }

    fn merged(&self, piece: &str) -> Vec<u32> {
        let mut tokens: Vec<String> = piece.bytes().map(|byte| character(byte).to_string()).collect();
        loop {
            let rank = |i: usize| self.ranks.get(&(tokens[i].clone(), tokens[i + 1].clone()));
            let best = (0..tokens.len().saturating_sub(1)).filter_map(|i| Some((rank(i)?, i))).min();
            let Some((_, i)) = best else { break };
            let right = tokens.remove(i + 1);
            tokens[i].push_str(&right);
        }
        tokens.iter().map(|token| self.vocabulary[token]).collect()
    }
}

/// Maps a byte to its character, as `bytes_to_unicode` of `encoder.py` does.
fn character(byte: u8) -> char {
    let prints = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    match prints(byte) {
        true => char::from(byte),
        false => char::from_u32(256 + (0..byte).filter(|&other| !prints(other)).count() as u32).unwrap(),
    }
}

/// Splits a text by GPT-2's pattern,
/// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
fn pieces(text: &str) -> Vec<String> {
    let kind = |c: char| match c {
        c if c.is_whitespace() => 0,
        c if c.is_alphabetic() => 1,
        c if c.is_numeric() => 2,
        _ => 3,
    };
    let all: Vec<char> = text.chars().collect();
    let (mut pieces, mut at) = (Vec::new(), 0);
    while at < all.len() {
        let rest: String = all[at..].iter().collect();
        let contraction = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"].into_iter().find(|end| rest.starts_with(end));
        let word = at + usize::from(all[at] == ' ');
        let length = match contraction {
            Some(end) => end.len(),
            None if word < all.len() && kind(all[word]) > 0 => {
                word - at + all[word..].iter().take_while(|&&c| kind(c) == kind(all[word])).count()
            }
            None => {
                let spaces = all[at..].iter().take_while(|&&c| kind(c) == 0).count();
                if at + spaces < all.len() && spaces > 1 { spaces - 1 } else { spaces }
            }
        };
        pieces.push(all[at..at + length].iter().collect());
        at += length;
    }
    pieces
}

/// Changes a random value of the file at random.
fn mutate(json: &mut Value, rng: &mut ChaCha8Rng) {
    let places = pointers(json);
    // Most values are in the vocabulary and the merges. The others are chosen equally often.
    let others: Vec<&String> = places.iter().filter(|place| place.matches('/').count() < 3).collect();
    let place = match below(3, rng) {
        0 => places[below(places.len(), rng)].clone(),
        _ => others[below(others.len(), rng)].clone(),
    };
    let donor = json.pointer(&places[below(places.len(), rng)]).unwrap().clone();
    let target = json.pointer_mut(&place).unwrap();
    match (below(8, rng), target) {
        (0, target) => *target = Value::Null,
        (1, target) => *target = donor,
        (2, Value::Bool(value)) => *value = !*value,
        (2, Value::String(text)) => text.push_str(["", " ", "s", "\u{1b}", "漢"][below(5, rng)]),
        (2, Value::Number(_)) => {
            let number = [-1, 0, 1, 5, 299, 300, 301, 1_i64 << 40][below(8, rng)];
            *json.pointer_mut(&place).unwrap() = number.into();
        }
        (3, Value::Array(list)) if !list.is_empty() => drop(list.remove(below(list.len(), rng))),
        (4, Value::Array(list)) if !list.is_empty() => {
            let copy = list[below(list.len(), rng)].clone();
            list.insert(below(list.len() + 1, rng), copy);
        }
        (5, Value::Array(list)) if !list.is_empty() => {
            let (a, b) = (below(list.len(), rng), below(list.len(), rng));
            list.swap(a, b);
        }
        (3, Value::Object(fields)) if !fields.is_empty() => {
            let name = fields.keys().nth(below(fields.len(), rng)).unwrap().clone();
            fields.remove(&name);
        }
        (4 | 5, Value::Object(fields)) if !fields.is_empty() => {
            let name = fields.keys().nth(below(fields.len(), rng)).unwrap().clone();
            let value = fields.remove(&name).unwrap();
            fields.insert([name.as_str(), "x", "type", "<|x|>", "zz"][below(5, rng)].to_string(), value);
        }
        (6, Value::Array(list)) => list.push(donor),
        _ => add_token(json, rng),
    }
}

fn pointers(json: &Value) -> Vec<String> {
    let escaped = |name: &String| name.replace('~', "~0").replace('/', "~1");
    let below = |name: String, value: &Value| {
        pointers(value).into_iter().map(move |rest| format!("/{name}{rest}")).collect::<Vec<_>>()
    };
    let mut all = vec![String::new()];
    match json {
        Value::Object(fields) => all.extend(fields.iter().flat_map(|(name, value)| below(escaped(name), value))),
        Value::Array(list) => all.extend(list.iter().enumerate().flat_map(|(i, value)| below(i.to_string(), value))),
        _ => {}
    }
    all
}

fn add_token(json: &mut Value, rng: &mut ChaCha8Rng) {
    let content = ["<|x|>", "The", "he", " ", "\n\n", "漢", "é", "Ġthe", "z"][below(9, rng)];
    let known = json.pointer("/model/vocab").and_then(|ids| ids.get(content)).and_then(Value::as_u64);
    let id = known.filter(|_| below(4, rng) > 0).unwrap_or(300 + below(2, rng) as u64);
    let mut flag = || below(3, rng) == 0;
    let token = serde_json::json!({"id": id, "content": content, "single_word": flag(), "lstrip": flag(),
        "rstrip": flag(), "normalized": flag(), "special": flag()});
    if let Some(list) = json.get_mut("added_tokens").and_then(Value::as_array_mut) {
        list.push(token);
    }
}

/// Changes a few bytes of the file.
fn damage(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let at = below(bytes.len(), rng);
    match below(5, rng) {
        0 => bytes[at] ^= 1 << below(8, rng),
        1 => bytes.truncate(at),
        2 => drop(bytes.splice(at..at, [b'"', b'}', b'0', 0x1b, 0xff][below(5, rng)..][..1].to_vec())),
        3 => drop(bytes.drain(at..(at + 1 + below(40, rng)).min(bytes.len()))),
        _ => {
            let copied = bytes[at..(at + 1 + below(40, rng)).min(bytes.len())].to_vec();
            bytes.splice(at..at, copied);
        }
    }
}

fn trained() -> String {
    let text = "The old house stood by the sea. The sea was grey, and the house was old. 's 1 22 -- \n\n".repeat(20);
    Tokenizer::train(std::iter::once(text.as_str()), 300).unwrap().to_json().unwrap()
}

/// Tests tokenizers from `mutant`, which returns the result of reading and the equivalent `tokenizer.json`.
fn try_mutants(count: u64, seed: u64, mutant: impl Fn(&mut ChaCha8Rng) -> (Result<Tokenizer>, Vec<u8>)) {
    let (mut accepted, mut refused) = (0, 0);
    for number in 0..count {
        match mutant(&mut generator(seed, Stream::Data, 0, number)) {
            (Ok(tokenizer), json) => {
                compare(&tokenizer, &serde_json::from_slice(&json).unwrap(), number);
                accepted += 1;
            }
            (Err(error), _) => {
                let what = error.to_string();
                assert_eq!(error.exit_code(), 4, "mutant {number}: {what}");
                assert!(what.starts_with("model/") && what.len() < 1000, "mutant {number}: {what}");
                assert!(!what.contains("panicked"), "mutant {number}: {what}");
                refused += 1;
            }
        }
    }
    println!("{count} mutants: {accepted} accepted, {refused} refused");
    assert!(accepted > count / 25 && refused > count / 3, "{accepted} accepted, {refused} refused");
}

/// Reads a `tokenizer.json` that is damaged as bytes or as JSON.
fn of_one_file(rng: &mut ChaCha8Rng, whole: &str) -> (Result<Tokenizer>, Vec<u8>) {
    let mut bytes = whole.to_string().into_bytes();
    match below(3, rng) {
        0 => damage(&mut bytes, rng),
        _ => {
            let mut json: Value = serde_json::from_str(whole).unwrap();
            (0..1 + below(3, rng)).for_each(|_| mutate(&mut json, rng));
            bytes = json.to_string().into_bytes();
        }
    }
    (Tokenizer::from_json(&bytes, Path::new("model/tokenizer.json")), bytes)
}

/// Reads `vocab.json` and `merges.txt`, of which one is damaged, or damaged files beside them.
fn of_two_files(rng: &mut ChaCha8Rng, whole: &str) -> (Result<Tokenizer>, Vec<u8>) {
    let mut json: Value = serde_json::from_str(whole).unwrap();
    let lines = json["model"]["merges"].as_array().unwrap().iter();
    let lines = lines.map(|merge| format!("{} {}\n", merge[0].as_str().unwrap(), merge[1].as_str().unwrap()));
    let mut merges = ["#version: 0.2\n".to_string()].into_iter().chain(lines).collect::<String>().into_bytes();
    let mut vocabulary = json["model"]["vocab"].clone();
    let mut files = HashMap::new();
    match below(3, rng) {
        0 => mutate(&mut vocabulary, rng),
        1 => damage(&mut merges, rng),
        _ => {
            let mut added = serde_json::json!({"<|x|>": 300, "The": vocabulary["The"], "<y>": 301});
            let mut config = serde_json::json!({"add_prefix_space": below(2, rng) == 0, "pad_token": "he",
                "added_tokens_decoder": {"300": {"content": "<|x|>", "lstrip": true}}, "add_bos_token": false});
            (0..below(3, rng)).for_each(|_| mutate(&mut added, rng));
            (0..below(3, rng)).for_each(|_| mutate(&mut config, rng));
            files.insert("added_tokens.json", added.to_string().into_bytes());
            files.insert("tokenizer_config.json", config.to_string().into_bytes());
        }
    }
    let beside = !files.is_empty();
    files.insert("vocab.json", vocabulary.to_string().into_bytes());
    files.insert("merges.txt", merges.clone());
    let read = TokenizerFiles::found(|name| Ok(files.get(name).cloned())).unwrap().read(Path::new("model"));
    let tokenizer = read.map(|(tokenizer, _)| tokenizer);
    // The effect of the files beside the two is part of the `tokenizer.json` that is written.
    if let (true, Ok(tokenizer)) = (beside, &tokenizer) {
        let written = tokenizer.to_json().unwrap().into_bytes();
        return (read_again(&written), written);
    }
    let text = String::from_utf8_lossy(&merges);
    let merges = text.lines().filter(|line| !line.is_empty() && !line.starts_with("#version"));
    json["model"]["merges"] = merges.collect();
    json["model"]["vocab"] = vocabulary;
    json["added_tokens"] = Value::Null;
    (tokenizer, json.to_string().into_bytes())
}

fn read_again(json: &[u8]) -> Result<Tokenizer> {
    Tokenizer::from_json(json, Path::new("model/tokenizer.json"))
}

fn compare(tokenizer: &Tokenizer, json: &Value, number: u64) {
    let slow = SlowBpe::new(json);
    for text in TEXTS {
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(ids, slow.encode(text, false), "mutant {number}: {text:?}");
        assert_eq!(tokenizer.encode_beginning(text).unwrap(), slow.encode(text, true), "mutant {number}: {text:?}");
        if !slow.strips() {
            assert_eq!(tokenizer.decode(&ids).unwrap(), text, "mutant {number}");
        }
    }
}

#[test]
fn a_damaged_tokenizer_is_refused_or_gives_the_tokens_that_it_says() {
    let whole = trained();
    try_mutants(500, 1, |rng| of_one_file(rng, &whole));
    try_mutants(200, 1, |rng| of_two_files(rng, &whole));
}

#[test]
#[ignore = "the same ten times; takes some seconds"]
fn many_damaged_tokenizers_are_refused_or_give_the_tokens_that_they_say() {
    let whole = trained();
    try_mutants(5_000, 2, |rng| of_one_file(rng, &whole));
    try_mutants(2_000, 2, |rng| of_two_files(rng, &whole));
}
