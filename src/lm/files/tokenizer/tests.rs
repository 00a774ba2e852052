use super::*;
use tokenizers::TruncationParams;

fn trained() -> Tokenizer {
    let text = "The old house stood by the sea. The sea was grey, and the house was old. ".repeat(20);
    Tokenizer::train(std::iter::once(text.as_str()), 300).unwrap()
}

#[test]
fn every_text_comes_back_as_it_was() {
    let tokenizer = trained();
    for text in ["The sea.", " two  spaces\n\nand lines", "“Çédille” — 漢字 🐱", ""] {
        assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), text);
    }
}

#[test]
fn the_end_of_text_is_one_token_and_a_period_another() {
    let tokenizer = trained();
    assert_eq!(tokenizer.encode(END_OF_TEXT).unwrap(), [0]);
    assert_eq!(tokenizer.encode("sea.").unwrap().last().copied(), tokenizer.token("."));
    assert!(tokenizer.token("\n").is_some() && tokenizer.token("no one token").is_none());
}

fn with_space_before() -> Tokenizer {
    let json = trained().to_json().unwrap();
    let json = json.replacen("\"add_prefix_space\":false", "\"add_prefix_space\":true", 1);
    Tokenizer::from_json(json.as_bytes(), Path::new("t")).unwrap()
}

#[test]
fn a_token_is_looked_up_as_the_text_that_it_stands_for() {
    let (without, with) = (trained(), with_space_before());
    for text in [".", " the", "\n", "s", END_OF_TEXT] {
        assert!(without.token(text).is_some(), "{text:?}");
        assert_eq!(with.token(text), without.token(text), "{text:?}");
        assert_eq!(with.decode(&[with.token(text).unwrap()]).unwrap(), text);
    }
    assert_ne!(with.encode_beginning(".").unwrap(), [with.token(".").unwrap()]);
}

/// A response continues its query: with a space before it, its tokens would be others.
#[test]
fn what_continues_a_text_comes_back_as_it_was_and_a_beginning_gets_its_space_once() {
    let (without, with) = (trained(), with_space_before());
    for text in ["The sea.", "\nThe sea", " the", ".", ""] {
        let ids = with.encode(text).unwrap();
        assert_eq!(ids, without.encode(text).unwrap(), "{text:?}");
        assert_eq!(with.decode(&ids).unwrap(), text);
    }
    let beginning = with.encode_beginning("the sea").unwrap();
    assert_eq!(beginning, without.encode(" the sea").unwrap());
    assert_eq!(with.encode_beginning(&with.decode(&beginning).unwrap()).unwrap(), beginning);
    assert!(with.to_json().unwrap().contains("\"add_prefix_space\":true"));
}

/// Ids that only fill up the vocabulary of a model can be sampled.
#[test]
fn an_id_without_a_token_is_seen_in_the_text() {
    let tokenizer = trained();
    let (period, after) = (tokenizer.token(".").unwrap(), tokenizer.vocab_size() as u32);
    assert_eq!(tokenizer.decode(&[period, after, period, u32::MAX]).unwrap(), ".\u{fffd}.\u{fffd}");
}

#[test]
fn a_file_that_is_no_tokenizer_is_refused() {
    let error = Tokenizer::from_json(b"{\"model\": 3}", Path::new("x/tokenizer.json")).unwrap_err();
    assert!(error.to_string().starts_with("x/tokenizer.json: not a tokenizer"), "{error}");
}

/// Returns the two older files of a tokenizer, as its `tokenizer.json` holds them.
fn vocabulary_and_merges(tokenizer: &Tokenizer) -> (Vec<u8>, String) {
    let json: serde_json::Value = serde_json::from_str(&tokenizer.to_json().unwrap()).unwrap();
    let pair = |merge: &serde_json::Value| format!("{} {}\n", merge[0].as_str().unwrap(), merge[1].as_str().unwrap());
    let merges: String = json["model"]["merges"].as_array().unwrap().iter().map(pair).collect();
    (serde_json::to_vec(&json["model"]["vocab"]).unwrap(), format!("#version: 0.2\n{merges}"))
}

fn from_two_files(vocabulary: &[u8], merges: &str) -> Result<Tokenizer> {
    let paths = [Path::new("vocab.json"), Path::new("merges.txt")];
    let vocabulary = FileContent { bytes: vocabulary, path: paths[0] };
    Tokenizer::from_vocabulary_and_merges(vocabulary, FileContent { bytes: merges.as_bytes(), path: paths[1] })
}

#[test]
fn the_older_two_files_make_the_same_tokenizer() {
    let tokenizer = trained();
    let (vocabulary, merges) = vocabulary_and_merges(&tokenizer);
    let two_files = from_two_files(&vocabulary, &merges).unwrap();
    for text in ["The sea.", " two  spaces\n\nand lines", "“Çédille” — 漢字 🐱", "<|endoftext|>x", ""] {
        let ids = two_files.encode(text).unwrap();
        assert_eq!(ids, tokenizer.encode(text).unwrap(), "{text}");
        assert_eq!(two_files.decode(&ids).unwrap(), text);
    }
    let json = two_files.to_json().unwrap();
    assert!(Tokenizer::from_json(json.as_bytes(), Path::new("t")).unwrap().is_same_as(&two_files));
}

#[test]
fn a_merge_that_contradicts_the_vocabulary_is_named_with_its_line() {
    let (vocabulary, merges) = vocabulary_and_merges(&trained());
    let error = from_two_files(&vocabulary, &format!("{merges}zq zq\n")).unwrap_err();
    let line = merges.lines().count() + 1;
    assert_eq!(error.to_string(), format!("merges.txt:{line}: not a merge of the vocabulary: \"zq zq\""));
    assert!(from_two_files(&vocabulary, "a b c\n").is_err());
    assert!(from_two_files(b"[1, 2]", &merges).unwrap_err().to_string().starts_with("vocab.json: not a vocab"));
}

#[test]
fn texts_are_read_whole_whatever_length_a_tokenizer_was_saved_with() {
    let mut short = trained().inner;
    short.with_truncation(Some(TruncationParams { max_length: 3, ..TruncationParams::default() })).unwrap();
    let json = short.to_string(false).unwrap();
    let read = Tokenizer::from_json(json.as_bytes(), Path::new("t")).unwrap();
    assert_eq!(read.encode("The sea was grey.").unwrap(), trained().encode("The sea was grey.").unwrap());
}

#[test]
fn a_written_tokenizer_reads_back_the_same() {
    let tokenizer = trained();
    let json = tokenizer.to_json().unwrap();
    let again = Tokenizer::from_json(json.as_bytes(), Path::new("t")).unwrap();
    assert_eq!(again.encode("the old sea").unwrap(), tokenizer.encode("the old sea").unwrap());
}

/// The rule is that of `transformers` 5.24.
#[test]
fn a_map_of_special_tokens_changes_no_end_of_a_config_that_lists_its_tokens() {
    let settings = |config: &str| {
        let map: &[u8] = br#"{"eos_token": "<map>"}"#;
        let file = |name: &str| match name {
            TOKENIZER_CONFIG_FILE => Some(config.as_bytes()),
            SPECIAL_TOKENS_FILE => Some(map),
            _ => None,
        };
        TokenizerSettings::read(Path::new("t"), file).unwrap().end().map(String::from)
    };
    for (config, end) in [
        (r#"{"eos_token": "<config>", "added_tokens_decoder": {}}"#, "<config>"),
        (r#"{"added_tokens_decoder": {}}"#, "<map>"),
        (r#"{"eos_token": "<config>"}"#, "<map>"),
    ] {
        assert_eq!(settings(config).as_deref(), Some(end), "{config}");
    }
}

#[test]
fn a_chat_template_that_is_not_utf_8_is_refused() {
    let error = ChatTemplate::source_of_file(b"Verf\xfcgbar", Path::new("t")).unwrap_err();
    assert_eq!(error.exit_code(), 4);
    assert_eq!(error.to_string(), "t/chat_template.jinja: byte 5 is not UTF-8");
}
