//! Mutated pairs of TRL and transcripts of Anthropic HH.

use preftune::data::comparisons::{Comparison, Record};

use super::comparisons::{Read, counted, ours};
use super::documents::{self, Form};
use super::json::Json;
use super::trial::outcome;

#[test]
fn damaged_pairs_are_refused_or_read_to_the_letter() {
    test("mutations::pairs::damaged_pairs_are_refused_or_read_to_the_letter", 1500);
}

#[test]
#[ignore = "takes up to a minute"]
fn all_damaged_pairs_are_refused_or_read_to_the_letter() {
    test("mutations::pairs::all_damaged_pairs_are_refused_or_read_to_the_letter", 5000);
}

fn test(test: &'static str, mutants: u64) {
    let originals: Vec<Json> = ORIGINALS.lines().map(|line| Json::read(line).unwrap()).collect();
    documents::test(test, mutants, &originals, &[Form::Lines, Form::Array], &|bytes| {
        outcome(ours(bytes), theirs(bytes))
    });
}

const ORIGINALS: &str = r#"{"prompt":"The sky is","chosen":" blue.","rejected":" green."}
{"chosen":"The sky is blue.","rejected":"The sky is green."}
{"prompt":[{"role":"user","content":"Which colour?"}],"chosen":[{"role":"assistant","content":"Blue."}],"rejected":[{"role":"assistant","content":"Green."}]}
{"chosen":[{"role":"system","content":"Be brief."},{"role":"user","content":"Which?"},{"role":"assistant","content":"Blue."}],"rejected":[{"role":"system","content":"Be brief."},{"role":"user","content":"Which?"},{"role":"assistant","content":"Green."}],"score_chosen":7.5,"score_rejected":2}
{"prompt":"Which colour?","chosen":[{"role":"user","content":"Which colour?"},{"role":"assistant","content":"Blue."}],"rejected":[{"role":"user","content":"Which colour?"},{"role":"assistant","content":"Green."}]}
{"chosen":"\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Tea?\n\nAssistant: I'd love some.","rejected":"\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Tea?\n\nAssistant: I'd rather not."}
{"prompt":"a","chosen":"same","rejected":"same"}
{"prompt":null,"chosen":"Ça va bien","rejected":"Ça va mal"}"#;

fn theirs(bytes: &[u8]) -> Result<Read, String> {
    let entries = documents::read(bytes)?;
    counted(entries.iter().map(|(line, entry)| Ok((*line, vec![record(entry)?]))))
}

#[derive(Clone, PartialEq)]
enum Content {
    Text(String),
    /// Messages, each with its role and its content.
    Messages(Vec<(String, String)>),
}

fn content(value: &Json) -> Result<Content, String> {
    let Json::Array(messages) = value else { return Ok(Content::Text(value.text()?.into())) };
    let member = |message: &Json, key: &str| match message.object()? {
        _ if message.get(key).is_none() => Err(format!("a message without {key}")),
        _ => Ok(message.get(key).unwrap().text()?.to_string()),
    };
    let message = |one: &Json| Ok((member(one, "role")?, member(one, "content")?));
    Ok(Content::Messages(messages.iter().map(message).collect::<Result<_, String>>()?))
}

/// Reads one entry by the table of datasets/README.md.
fn record(entry: &Json) -> Result<Record, String> {
    let of = |key: &str| content(entry.get(key).ok_or(format!("no {key}"))?);
    entry.object()?;
    // Fields that would change the meaning of a pair are not ignored.
    for key in ["margin", "weight", "label"] {
        if let Some(Json::Number(_) | Json::Bool(_)) = entry.get(key) {
            return Err(format!("there is a {key}"));
        }
    }
    let score = |key: &str| entry.some(key).map(Json::number).transpose();
    if let (Some(chosen), Some(rejected)) = (score("score_chosen")?, score("score_rejected")?)
        && chosen < rejected
    {
        return Err("the chosen response has the lower score".into());
    }
    let (chosen, rejected) = (of("chosen")?, of("rejected")?);
    let prompt = entry.some("prompt").map(content).transpose()?;
    let (query, responses) = match (prompt, &chosen, &rejected) {
        (Some(Content::Text(prompt)), Content::Text(chosen), Content::Text(rejected)) => {
            // If both texts begin with the prompt, they repeat it.
            let is_repeated = !prompt.is_empty() && chosen.starts_with(&prompt) && rejected.starts_with(&prompt);
            let from = if is_repeated { prompt.len() } else { 0 };
            (prompt, [chosen[from..].to_string(), rejected[from..].to_string()])
        }
        (None, Content::Text(chosen), Content::Text(rejected)) => split(chosen, rejected)?,
        (prompt, Content::Messages(chosen), Content::Messages(rejected)) => {
            let prompt = match prompt {
                Some(Content::Text(text)) => vec![("user".to_string(), text)],
                Some(Content::Messages(messages)) => messages,
                None => Vec::new(),
            };
            split_messages(&prompt, chosen, rejected)
        }
        _ => return Err("texts and messages".into()),
    };
    if query.trim().is_empty() {
        return Err("no query".into());
    }
    let comparison = Comparison { query, responses: responses.into(), ..Comparison::default() };
    Ok(if chosen == rejected { Record::Undecided(comparison) } else { Record::Judged(comparison) })
}

const ANSWER: &str = "\n\nAssistant:";

/// Splits off the prompt: the common beginning, without a space at its end, or for a transcript everything up
/// to the last common answer.
fn split(chosen: &str, rejected: &str) -> Result<(String, [String; 2]), String> {
    let mut common = String::new();
    for (one, other) in chosen.chars().zip(rejected.chars()) {
        if one != other {
            break;
        }
        common.push(one);
    }
    if [chosen, rejected].iter().any(|text| text.trim_start().starts_with("Human:")) {
        common.truncate(common.rfind(ANSWER).ok_or("no answer to the same")? + ANSWER.len());
    } else if common.ends_with(' ') {
        common.pop();
    }
    let responses = [chosen, rejected].map(|text| text[common.len()..].to_string());
    Ok((common, responses))
}

fn split_messages(
    prompt: &[(String, String)],
    chosen: &[(String, String)],
    rejected: &[(String, String)],
) -> (String, [String; 2]) {
    let transcript = |messages: &[(String, String)]| -> String {
        let heading = |role: &str| match role {
            "user" => "Human".to_string(),
            "assistant" => "Assistant".to_string(),
            "system" => "System".to_string(),
            other => other.to_string(),
        };
        messages.iter().map(|(role, content)| format!("\n\n{}: {content}", heading(role))).collect()
    };
    let mut shared = 0;
    while shared < chosen.len() && shared < rejected.len() && chosen[shared] == rejected[shared] {
        shared += 1;
    }
    // Messages of the system may come before the prompt.
    let spoken = |messages: &[(String, String)]| -> Vec<(String, String)> {
        let spoken = messages.iter().filter(|(role, _)| role != "system");
        spoken.map(|(role, content)| (role.clone(), content.trim().to_string())).collect()
    };
    let is_repeated = chosen[..shared].starts_with(prompt)
        || !spoken(prompt).is_empty() && spoken(&chosen[..shared]).starts_with(&spoken(prompt));
    let mut query = if is_repeated { String::new() } else { transcript(prompt) };
    query += &transcript(&chosen[..shared]);
    let mut responses = [transcript(&chosen[shared..]), transcript(&rejected[shared..])];
    if responses.iter().all(|response| response.starts_with(ANSWER)) {
        query += ANSWER;
        responses = responses.map(|response| response[ANSWER.len()..].to_string());
    }
    (query, responses)
}
