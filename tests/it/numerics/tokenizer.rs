//! Tokens compared with those of `transformers`, for every kind of character
//! (`tests/fixtures/transformers/characters.py`) and for all files of a tokenizer
//! (`tests/fixtures/transformers/tokenizer_files.py`).

use std::path::{Path, PathBuf};

use preftune::Result;
use preftune::lm::{Tokenizer, TokenizerFiles};
use serde_json::{Map, Value};

#[derive(serde::Deserialize)]
struct Answer {
    text: String,
    ids: Vec<u32>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transformers")
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name)).unwrap()
}

#[test]
fn every_kind_of_character_has_the_tokens_that_transformers_gives_it() {
    let answers: Vec<Answer> = serde_json::from_slice(&fixture("characters.json")).unwrap();
    let of_two_files = of_files(&Map::new()).unwrap();
    let of_one = Tokenizer::from_json(of_two_files.to_json().unwrap().as_bytes(), Path::new("tokenizer.json")).unwrap();

    for Answer { text, ids } in answers {
        for tokenizer in [&of_two_files, &of_one] {
            assert_eq!(tokenizer.encode(&text).unwrap(), ids, "{text:?}");
            assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        }
    }
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    /// Files beside `vocab.json` and `merges.txt`, by name.
    files: Map<String, Value>,
    /// Changes to the `tokenizer.json` that is made of these two files, by JSON pointer.
    changes: Map<String, Value>,
    answers: Vec<DecodedAnswer>,
}

#[derive(serde::Deserialize)]
struct DecodedAnswer {
    text: String,
    ids: Vec<u32>,
    decoded: String,
}

/// Reads the vocabulary of `characters/` with more files beside it, or `tokenizer.json` alone if it is one of
/// them.
fn of_files(files: &Map<String, Value>) -> Result<Tokenizer> {
    let read = |name: &str| match (files.get(name), name) {
        (Some(contents), _) => Ok(Some(contents.to_string().into_bytes())),
        (None, "vocab.json" | "merges.txt") => Ok(Some(fixture(&format!("characters/{name}")))),
        (None, _) => Ok(None),
    };
    Ok(TokenizerFiles::found(read)?.read(Path::new("model"))?.0)
}

/// Returns the vocabulary of `characters/` as a `tokenizer.json`.
fn json() -> Value {
    serde_json::from_str(&of_files(&Map::new()).unwrap().to_json().unwrap()).unwrap()
}

/// Sets one part of a JSON value.
fn with(mut json: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    json.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(name.into(), value);
    json
}

fn of_json(json: Value) -> Result<Tokenizer> {
    of_files(&Map::from_iter([("tokenizer.json".to_string(), json)]))
}

#[test]
fn all_files_of_a_tokenizer_give_the_tokens_that_transformers_gives() {
    let cases: Vec<Case> = serde_json::from_slice(&fixture("tokenizer_files.json")).unwrap();
    assert!(cases.len() > 12);
    for Case { name, files, changes, answers } in cases {
        let tokenizer = match changes.is_empty() {
            true => of_files(&files),
            false => of_json(changes.into_iter().fold(json(), |json, (pointer, value)| with(json, &pointer, value))),
        };
        let tokenizer = tokenizer.unwrap_or_else(|error| panic!("{name}: {error}"));
        let again = Tokenizer::from_json(tokenizer.to_json().unwrap().as_bytes(), Path::new("again")).unwrap();
        for DecodedAnswer { text, ids, decoded } in answers {
            assert_eq!(tokenizer.encode_beginning(&text).unwrap(), ids, "{name}: {text:?}");
            assert_eq!(tokenizer.decode(&ids).unwrap(), decoded, "{name}");
            // The decoded text has the same tokens when it continues another text.
            assert_eq!(tokenizer.encode(&decoded).unwrap(), ids, "{name}: {decoded:?}");
            assert_eq!(again.encode_beginning(&text).unwrap(), ids, "{name}, written and read again: {text:?}");
        }
    }
}

fn refusal(result: Result<Tokenizer>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.exit_code(), 4, "{error}");
    assert!(!error.hint().is_empty(), "{error}");
    error.to_string()
}

/// Each refused part would lead to other tokens, at least for some texts.
#[test]
fn parts_of_a_tokenizer_json_that_are_not_followed_are_refused_by_name() {
    let of_type = |name: &str| serde_json::json!({ "type": name });
    let template = serde_json::json!({
        "type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}],
        "pair": [], "special_tokens": {},
    });
    let digits = serde_json::json!({
        "type": "Sequence",
        "pretokenizers": [json().pointer("/pre_tokenizer").unwrap(), {"type": "Digits", "individual_digits": true}],
    });
    let sequence = serde_json::json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "NFKC"}]});
    let other_mark = serde_json::json!({"type": "Prepend", "prepend": "_"});
    let lossy =
        serde_json::json!({"type": "Split", "pattern": {"String": " "}, "behavior": "Removed", "invert": false});
    let unknown = serde_json::json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "x": 1});
    for (pointer, value, expected) in [
        ("/model/type", "WordPiece".into(), "its model is \"WordPiece\", not BPE"),
        ("/model/dropout", 0.5.into(), "model.dropout is 0.5:"),
        ("/model/continuing_subword_prefix", "##".into(), "model.continuing_subword_prefix is \"##\""),
        ("/model/end_of_word_suffix", "</w>".into(), "model.end_of_word_suffix is \"</w>\""),
        ("/model/byte_fallback", true.into(), "model.byte_fallback is true"),
        ("/model/lowercase", true.into(), "unknown field `lowercase`"),
        ("/normalizer", of_type("Lowercase"), "normalizer is \"Lowercase\", which changes text"),
        ("/normalizer", sequence, "normalizer is \"NFKC\", which changes text"),
        ("/normalizer", other_mark, "\"prepend\":\"_\""),
        ("/pre_tokenizer", Value::Null, "pre_tokenizer is missing"),
        ("/pre_tokenizer", of_type("Whitespace"), "pre_tokenizer is \"Whitespace\""),
        ("/pre_tokenizer", digits, "do not fit together"),
        ("/pre_tokenizer", lossy, "pre_tokenizer is \"Split\""),
        ("/pre_tokenizer", unknown, "pre_tokenizer.x is unknown"),
        ("/pre_tokenizer/add_prefix_space", "no".into(), "pre_tokenizer: invalid type: string"),
        ("/post_processor", template, "post_processor adds the token \"<|endoftext|>\""),
        ("/post_processor", of_type("RobertaProcessing"), "post_processor is \"RobertaProcessing\""),
        ("/decoder", of_type("WordPiece"), "decoder is \"WordPiece\""),
        ("/decoder", Value::Null, "decoder is missing"),
        ("/version", "2.0".into(), "its version is \"2.0\""),
        ("/normaliser", Value::Null, "unknown field `normaliser`"),
    ] {
        let what = refusal(of_json(with(json(), pointer, value)));
        assert!(what.starts_with("model/tokenizer.json: ") && what.contains(expected), "{pointer}: {what}");
    }
    let unigram = with(with(json(), "/model/type", "Unigram".into()), "/model/vocab", serde_json::json!([["a", -1.0]]));
    assert!(refusal(of_json(unigram)).contains("its model is \"Unigram\", not BPE"));
}

/// Other readers disagree about such files.
#[test]
fn an_array_in_the_place_of_an_object_and_a_name_that_is_there_twice_are_refused() {
    let model = json()["model"].clone();
    let model =
        serde_json::json!(["BPE", null, null, null, null, false, false, false, model["vocab"], model["merges"]]);
    let added = serde_json::json!([[1200, "<|endoftext|>", false, false, false, false, true]]);
    for (pointer, value) in [("/model", model), ("/added_tokens", added)] {
        let what = refusal(of_json(with(json(), pointer, value)));
        assert!(what.contains("not a tokenizer: invalid type: sequence, expected struct"), "{pointer}: {what}");
    }
    let token = serde_json::json!({"pad_token": ["<|endoftext|>", false, false, false, false, true]});
    let what = refusal(of_files(&files(&[("tokenizer_config.json", token)])));
    assert!(what.contains("pad_token: not a token: invalid type: sequence"), "{what}");

    for (once, twice, expected) in [
        (r#""type":"BPE""#, r#""type":"BPE","type":"BPE""#, "the field \"type\" is there twice"),
        (r#""e":68"#, r#""e":68,"e":68"#, "the field \"e\" is there twice"),
        (r#""normalizer":null"#, r#""normalizer":{"a":1,"a":2}"#, "the field \"a\" is there twice at line 2 column"),
    ] {
        let text = format!("\n{}", json()).replacen(once, twice, 1);
        let what = refusal(Tokenizer::from_json(text.as_bytes(), Path::new("model/tokenizer.json")));
        assert!(what.contains(expected), "{once}: {what}");
    }
}

/// A value takes many times its bytes in memory.
#[test]
fn settings_that_would_fill_the_memory_are_refused() {
    let long = Value::from(vec![0; 3 << 20]);
    let what = refusal(of_json(with(json(), "/post_processor", long.clone())));
    assert!(what.contains("a setting of more than 4194304 bytes"), "{what}");
    let what = refusal(of_files(&files(&[("tokenizer_config.json", serde_json::json!({"x": long}))])));
    assert!(what.contains("tokenizer_config.json: settings of more than 4194304 bytes"), "{what}");
}

/// Parts that change no token are accepted.
#[test]
fn parts_of_a_tokenizer_json_that_change_nothing_are_read() {
    let template = serde_json::json!({
        "type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {},
    });
    let byte_level = serde_json::json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false});
    let truncation =
        serde_json::json!({"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0});
    for (pointer, value) in [
        ("/model/dropout", 0.0.into()),
        ("/model/unk_token", "<|endoftext|>".into()),
        ("/model/unk_token", "no token".into()),
        ("/model/fuse_unk", true.into()),
        ("/model/continuing_subword_prefix", "".into()),
        ("/normalizer", serde_json::json!({"type": "Sequence", "normalizers": []})),
        ("/post_processor", template),
        ("/post_processor", byte_level),
        ("/truncation", truncation),
        ("/added_tokens", serde_json::json!([])),
    ] {
        let read = of_json(with(json(), pointer, value)).unwrap_or_else(|error| panic!("{pointer}: {error}"));
        for text in ["It's one  two   three.", "\n\n<|endoftext|>a", "漢字"] {
            assert_eq!(read.encode(text).unwrap(), of_json(json()).unwrap().encode(text).unwrap(), "{pointer}");
        }
    }
    let mut oldest = json();
    for (part, name) in [("/model", "type"), ("/model", "byte_fallback"), ("/pre_tokenizer", "use_regex")] {
        oldest.pointer_mut(part).unwrap().as_object_mut().unwrap().remove(name);
    }
    assert!(of_json(oldest).is_ok(), "as the hub's own gpt2 has it");
}

fn files(named: &[(&str, Value)]) -> Map<String, Value> {
    named.iter().map(|(name, contents)| ((*name).to_string(), contents.clone())).collect()
}

/// The refused files ask for other tokens than the vocabulary has, or contradict it.
#[test]
fn files_beside_a_tokenizer_that_are_not_followed_are_refused_by_name() {
    let config = |value: Value| ("tokenizer_config.json", value);
    let sep = |id: u32| ("added_tokens.json", serde_json::json!({ "<|sep|>": id }));
    let decoder = |content: &str, id: &str| {
        config(serde_json::json!({"added_tokens_decoder": { id: {"content": content, "special": true} }}))
    };
    for (beside, expected) in [
        (vec![config(serde_json::json!({"add_bos_token": true}))], "tokenizer_config.json: add_bos_token is true"),
        (vec![config(serde_json::json!({"add_eos_token": true}))], "tokenizer_config.json: add_eos_token is true"),
        (vec![config(serde_json::json!({"split_special_tokens": true}))], "split_special_tokens is true"),
        (vec![config(serde_json::json!({"tokenizer_class": "RobertaTokenizer"}))], "tokenizer_class is \"Roberta"),
        (vec![config(serde_json::json!({"add_prefix_space": 1}))], "add_prefix_space is 1, not"),
        (vec![config(serde_json::json!([]))], "tokenizer_config.json: not an object"),
        (
            vec![config(serde_json::json!({"pad_token": "[PAD]"}))],
            "tokenizer_config.json: token \"[PAD]\" is not among",
        ),
        (vec![config(serde_json::json!({"pad_token": 3}))], "tokenizer_config.json: pad_token: not a token"),
        (
            vec![("special_tokens_map.json", serde_json::json!({"additional_special_tokens": ["<x>"]}))],
            "\"<x>\" is not",
        ),
        (vec![sep(1300)], "added token \"<|sep|>\" has id 1300, but the next free one is 1201"),
        (vec![sep(5)], "added token \"<|sep|>\" has id 5"),
        (vec![("added_tokens.json", serde_json::json!({"e": 9}))], "token \"e\" has id 9 here, and 68"),
        (vec![("added_tokens.json", serde_json::json!({"e": "9"}))], "added_tokens.json: not a map of tokens to ids"),
        (vec![sep(1201), decoder("<|sep|>", "1202")], "token \"<|sep|>\" has id 1202 here, and 1201 elsewhere"),
        (vec![decoder("<|sep|>", "one")], "added_tokens_decoder: \"one\" is not an id"),
    ] {
        let what = refusal(of_files(&files(&beside)));
        assert!(what.starts_with("model/") && what.contains(expected), "{what}");
    }
    for (beside, expected) in [
        (sep(1201), "model/added_tokens.json: token \"<|sep|>\" is not among the tokenizer's"),
        (
            config(serde_json::json!({"add_prefix_space": true})),
            "add_prefix_space is true, but false in tokenizer.json",
        ),
        (
            ("special_tokens_map.json", serde_json::json!({"eos_token": {"content": "<|endoftext|>", "lstrip": true}})),
            "token \"<|endoftext|>\" has another single_word, lstrip or rstrip elsewhere",
        ),
        (decoder("<|endoftext|>", "7"), "token \"<|endoftext|>\" has id 7 here, and 1200"),
    ] {
        let what = refusal(of_files(&files(&[("tokenizer.json", json()), beside])));
        assert!(what.contains(expected), "{what}");
    }
}

#[test]
fn a_folder_without_a_whole_tokenizer_says_which_files_were_looked_for() {
    let of = |present: &'static [&'static str]| {
        let read = |name: &str| Ok(present.contains(&name).then(|| fixture(&format!("characters/{name}"))));
        refusal(TokenizerFiles::found(read).unwrap().read(Path::new("model")).map(|(tokenizer, _)| tokenizer))
    };
    assert!(of(&[]).contains("neither tokenizer.json is there, nor vocab.json with merges.txt"));
    assert!(of(&["vocab.json"]).contains("vocab.json is there without merges.txt, and no tokenizer.json"));
    assert!(of(&["merges.txt"]).contains("merges.txt is there without vocab.json, and no tokenizer.json"));
}
