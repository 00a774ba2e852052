//! A tokenizer in the format of GPT-2's: the bytes first, in GPT-2's order, then the merges, then the end of
//! text. Therefore `.` is token 13 and an end of line is token 198, as the original's tasks expect. Some
//! frequent words have GPT-2's ids, too, because its tokenizer is recognized by them.

use std::collections::BTreeSet;

use preftune::lm::{END_OF_TEXT, Tokenizer};
use preftune::{Error, Result};
use serde_json::{Map, Value};

pub const VOCABULARY: usize = 50_257;

const OF_GPT2: [(usize, &str); 5] = [(256, "Ġt"), (262, "Ġthe"), (290, "Ġand"), (373, "Ġwas"), (464, "The")];

/// Trains a tokenizer on these texts, and returns its `vocab.json` and `merges.txt`.
pub fn train(texts: &[String]) -> Result<(String, String)> {
    let trained = Tokenizer::train(texts.iter().map(String::as_str), VOCABULARY)?.to_json()?;
    let trained: Value = serde_json::from_str(&trained).map_err(|error| Error::failed(error.to_string(), ""))?;
    let merges = trained.pointer("/model/merges").and_then(Value::as_array).cloned().unwrap_or_default();
    let pairs: Vec<[&str; 2]> =
        merges.iter().filter_map(|merge| Some([merge.get(0)?.as_str()?, merge.get(1)?.as_str()?])).collect();
    let made: BTreeSet<String> = pairs.iter().map(|pair| pair.concat()).collect();
    if let Some((_, word)) = OF_GPT2.iter().find(|(_, word)| !made.contains(*word)) {
        return Err(Error::failed(format!("the texts have no token {word}"), "give more English text"));
    }
    let others = made.into_iter().filter(|token| OF_GPT2.iter().all(|(_, word)| word != token));
    let tokens = byte_characters().into_iter().map(String::from).chain(others);
    // Short texts have fewer merges, and the vocabulary must not have gaps.
    let tokens = tokens.chain((0..).map(|number| format!("<|unused {number}|>")));
    let mut tokens: Vec<String> = tokens.take(VOCABULARY - 1 - OF_GPT2.len()).collect();
    for (id, word) in OF_GPT2 {
        tokens.insert(id, word.into());
    }
    let mut vocabulary: Map<String, Value> = (0..).zip(tokens).map(|(id, token)| (token, Value::from(id))).collect();
    vocabulary.insert(END_OF_TEXT.into(), Value::from(VOCABULARY - 1));
    let lines: Vec<String> = pairs.iter().map(|pair| pair.join(" ")).collect();
    Ok((Value::Object(vocabulary).to_string(), format!("#version: 0.2\n{}\n", lines.join("\n"))))
}

/// Returns the characters that stand for bytes, in the order of GPT-2's first 256 tokens: printable bytes
/// stand for themselves, and the others follow (`encoder.py`, `bytes_to_unicode`).
fn byte_characters() -> Vec<char> {
    let printing = (b'!'..=b'~').chain(0xa1..=0xac).chain(0xae..=0xff);
    let others = (256..324).filter_map(char::from_u32);
    printing.map(char::from).chain(others).collect()
}
