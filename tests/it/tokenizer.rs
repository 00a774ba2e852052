//! The tokens of `transformers` for every kind of character (`tests/fixtures/transformers/characters.py`).

use std::path::Path;

use preftune::lm::Tokenizer;

#[derive(serde::Deserialize)]
struct Answer {
    text: String,
    ids: Vec<u32>,
}

#[test]
fn every_kind_of_character_has_the_tokens_that_transformers_gives_it() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transformers");
    let read = |name: &str| std::fs::read(fixtures.join(name)).unwrap();
    let answers: Vec<Answer> = serde_json::from_slice(&read("characters.json")).unwrap();

    let (vocabulary, merges) = (read("characters/vocab.json"), read("characters/merges.txt"));
    let of_two_files = Tokenizer::from_vocabulary_and_merges(
        (&vocabulary, Path::new("vocab.json")),
        (&merges, Path::new("merges.txt")),
    )
    .unwrap();
    let of_one = Tokenizer::from_json(of_two_files.to_json().unwrap().as_bytes(), Path::new("tokenizer.json")).unwrap();

    for Answer { text, ids } in answers {
        for tokenizer in [&of_two_files, &of_one] {
            assert_eq!(tokenizer.encode(&text).unwrap(), ids, "{text:?}");
            assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        }
    }
}
