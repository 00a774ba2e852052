//! Mutated classifiers.

use std::path::Path;

use preftune::labels::Classifier;
use preftune::labels::classifier::{NgramKind, Provenance};

use super::json::Json;
use super::trial::{Kind, outcome, run};
use super::{bytes, structure};

#[test]
fn a_damaged_classifier_is_refused_or_read_to_the_bit() {
    test("mutations::classifier::a_damaged_classifier_is_refused_or_read_to_the_bit", 500);
}

#[test]
#[ignore = "takes up to a minute"]
fn every_damaged_classifier_is_refused_or_read_to_the_bit() {
    test("mutations::classifier::every_damaged_classifier_is_refused_or_read_to_the_bit", 5000);
}

const ORIGINALS: [&str; 3] = [
    r#"{"version":1,"ngram_sizes":[1,2],"provenance":{"source":"Sätze","seed":1,"held_out_accuracy":0.8137,"held_out_examples":2000},"bias":0.1981,"weights":{"a bad":-1.25,"good":2,"so good":0.0001}}"#,
    r#"{"ngram_sizes":[1,2],"provenance":null,"bias":-3,"weights":{"x":-0.5}}"#,
    r#"{"version":1,"ngram_sizes":[1,2],"ngrams":"content","provenance":null,"bias":0,"weights":{"not so":1e-4}}"#,
];

fn test(test: &'static str, mutants: u64) {
    let originals = ORIGINALS.map(|text| Json::read(text).unwrap());
    let others = ORIGINALS.map(|text| text.as_bytes().to_vec());
    run(&Kind {
        test,
        mutants,
        codes: &[4],
        most_refused_only_here: 0.0,
        originals: &others,
        mutant: &|dice| {
            let mut json = originals[dice.below(originals.len())].clone();
            if dice.one_in(4) {
                let mut text = json.written().into_bytes();
                bytes::mutate(&mut text, &others, dice);
                return text;
            }
            structure::mutate(&mut json, dice);
            json.written().into_bytes()
        },
        read: &|bytes| outcome(ours(bytes), theirs(bytes)),
    });
}

/// Kind of the n-grams, bits of the bias, n-grams with the bits of their weights, and source of the sentences.
type Read = (NgramKind, u64, Vec<(String, u64)>, Option<Provenance>);

fn ours(bytes: &[u8]) -> preftune::Result<Read> {
    let read = Classifier::from_json(bytes, Path::new("classifier.json"))?;
    let weights = read.weights().map(|(ngram, weight)| (ngram.to_string(), weight.to_bits())).collect();
    // A text without words has no n-gram, so that its score is the bias.
    Ok((read.ngram_kind(), read.score("").to_bits(), weights, read.provenance))
}

fn theirs(bytes: &[u8]) -> Result<Read, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let json = Json::read(text)?;
    if !json.is_of_version_1() {
        return Err("another version".into());
    }
    only(&json, &["version", "ngram_sizes", "ngrams", "provenance", "bias", "weights"])?;
    let sizes = json.get("ngram_sizes").ok_or("no sizes")?.array()?;
    if sizes.iter().map(Json::count).collect::<Result<Vec<_>, _>>()? != [1, 2] {
        return Err("other sizes".into());
    }
    let kind = match json.get("ngrams").map(Json::text).transpose()? {
        None | Some("adjacent") => NgramKind::Adjacent,
        Some("content") => NgramKind::Content,
        Some(other) => return Err(format!("n-grams of an unknown kind: {other}")),
    };
    let in_range = |value: &Json| {
        let number = value.number()?;
        if number.abs() <= 1e6 { Ok(number.to_bits()) } else { Err(format!("{number} is out of range")) }
    };
    let weights = json.get("weights").ok_or("no weights")?.object()?;
    let mut weights: Vec<_> =
        weights.iter().map(|(ngram, weight)| Ok((ngram.clone(), in_range(weight)?))).collect::<Result<_, String>>()?;
    weights.sort();
    if weights.is_empty() {
        return Err("no weights".into());
    }
    let provenance = json.some("provenance").map(provenance).transpose()?;
    Ok((kind, in_range(json.get("bias").ok_or("no bias")?)?, weights, provenance))
}

fn provenance(json: &Json) -> Result<Provenance, String> {
    only(json, &["source", "seed", "held_out_accuracy", "held_out_examples"])?;
    let member = |key: &str| json.get(key).ok_or(format!("no {key}"));
    Ok(Provenance {
        source: member("source")?.text()?.into(),
        seed: member("seed")?.count()?,
        held_out_accuracy: member("held_out_accuracy")?.number()?,
        held_out_examples: member("held_out_examples")?.count()? as usize,
    })
}

fn only(json: &Json, known: &[&str]) -> Result<(), String> {
    match json.object()?.iter().find(|(key, _)| !known.contains(&key.as_str())) {
        Some((key, _)) => Err(format!("unknown: {key}")),
        None => Ok(()),
    }
}
