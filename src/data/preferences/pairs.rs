//! Pairs of a chosen and a rejected response: TRL's preference types, and Anthropic's transcripts.

use serde::Deserialize;
use serde_json::Value;

use super::conversation::{ASSISTANT, HUMAN, Message, transcript};
use crate::data::comparisons::{Comparison, Record};
use crate::data::left_out::{LeftOut, Reason};
use crate::json;

#[derive(Deserialize)]
struct Pair {
    prompt: Option<Value>,
    chosen: Value,
    rejected: Value,
    #[serde(default)]
    score_chosen: Option<f64>,
    #[serde(default)]
    score_rejected: Option<f64>,
}

/// Fields that would change the meaning of a pair, and are not read.
const WITH_A_MEANING: [&str; 3] = ["margin", "weight", "label"];

enum Content {
    Text(String),
    Messages(Vec<Message>),
}

impl Content {
    fn read(value: Value, field: &str) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(Self::Text(text)),
            Value::Array(_) => {
                let messages = json::from_value(value);
                messages.map(Self::Messages).map_err(|fault| format!("{field} is no list of messages: {fault}"))
            }
            _ => Err(format!("{field} is neither text nor a list of messages")),
        }
    }

    /// Returns the messages; a text becomes one message of the user.
    fn into_messages(self) -> Vec<Message> {
        match self {
            Self::Text(content) => vec![Message { role: "user".into(), content }],
            Self::Messages(messages) => messages,
        }
    }
}

/// Makes the record of a pair, with the chosen response first. A pair of the same responses has no record, and
/// is counted.
pub(super) fn record(entry: Value, left_out: &mut LeftOut) -> Result<Option<Record>, String> {
    let has_meaning = |value: &Value| value.is_number() || value.is_boolean();
    if let Some(field) = WITH_A_MEANING.iter().find(|field| entry.get(field).is_some_and(has_meaning)) {
        return Err(format!(
            "the field {field:?} would change the meaning of this pair and is not supported; remove it"
        ));
    }
    let pair: Pair = json::from_value(entry).map_err(|fault| fault.to_string())?;
    if let (Some(chosen), Some(rejected)) = (pair.score_chosen, pair.score_rejected) {
        if chosen < rejected {
            return Err(format!("the chosen response has a lower score ({chosen}) than the rejected ({rejected})"));
        }
        left_out.count(Reason::EqualScores, usize::from(chosen == rejected));
    }
    let is_decided = pair.chosen != pair.rejected;
    let (comparison, repeats_prompt) = comparison(pair)?;
    left_out.count(Reason::RepeatedPrompts, usize::from(repeats_prompt));
    let goes_on = comparison.responses.iter().any(|response| response.contains(HUMAN));
    left_out.count(Reason::FurtherTurns, usize::from(is_decided && goes_on));
    left_out.count(Reason::SameResponses, usize::from(!is_decided));
    Ok(is_decided.then_some(Record::Judged(comparison)))
}

/// Makes the comparison of a pair, and tells whether the texts repeated the prompt, which is then removed.
fn comparison(pair: Pair) -> Result<(Comparison, bool), String> {
    let prompt = pair.prompt.filter(|prompt| !prompt.is_null());
    let prompt = prompt.map(|prompt| Content::read(prompt, "prompt")).transpose()?;
    let chosen = Content::read(pair.chosen, "chosen")?;
    let rejected = Content::read(pair.rejected, "rejected")?;
    let mut repeats_prompt = false;
    let (query, responses) = match (prompt, chosen, rejected) {
        (Some(Content::Text(prompt)), Content::Text(chosen), Content::Text(rejected)) => {
            let responses = match (chosen.strip_prefix(&prompt), rejected.strip_prefix(&prompt)) {
                (Some(chosen), Some(rejected)) if !prompt.is_empty() => {
                    repeats_prompt = true;
                    [chosen.to_string(), rejected.to_string()]
                }
                _ => [chosen, rejected],
            };
            (prompt, responses)
        }
        (None, Content::Text(chosen), Content::Text(rejected)) => of_texts(&chosen, &rejected)?,
        (prompt, Content::Messages(chosen), Content::Messages(rejected)) => of_messages(prompt, chosen, rejected),
        _ => return Err("text and messages do not go together".into()),
    };
    if query.is_empty() {
        return Err("there is no prompt, and chosen and rejected begin differently".into());
    }
    Ok((Comparison { query, responses: responses.into(), ..Comparison::default() }, repeats_prompt))
}

/// Splits off the prompt, with which both texts begin: in a transcript up to an answer of the assistant, else
/// up to the first difference, with a space before it left to the responses (TRL's `extract_prompt`).
fn of_texts(chosen: &str, rejected: &str) -> Result<(String, [String; 2]), String> {
    let pairs = chosen.char_indices().zip(rejected.chars());
    let parted = pairs.take_while(|((_, one), other)| one == other).last();
    let common = parted.map_or(0, |((at, last), _)| at + last.len_utf8());
    let common = chosen.get(..common).unwrap_or_default();
    let is_transcript = [chosen, rejected].iter().any(|text| text.trim_start().starts_with("Human:"));
    let prompt = match common.rfind(ASSISTANT) {
        Some(at) if is_transcript => at + ASSISTANT.len(),
        None if is_transcript => {
            return Err("chosen and rejected do not answer the same prompt: their first turns differ".into());
        }
        _ => common.strip_suffix(' ').unwrap_or(common).len(),
    };
    let after = |text: &str| text.get(prompt..).unwrap_or_default().to_string();
    Ok((common.get(..prompt).unwrap_or_default().into(), [after(chosen), after(rejected)]))
}

/// Adds the messages with which both conversations begin to the prompt.
fn of_messages(prompt: Option<Content>, chosen: Vec<Message>, rejected: Vec<Message>) -> (String, [String; 2]) {
    let common = chosen.iter().zip(&rejected).take_while(|(one, other)| one == other).count();
    let shared = chosen.get(..common).unwrap_or_default();
    let mut before = prompt.map(Content::into_messages).unwrap_or_default();
    // Messages of the system are ignored here, because a prompt that is a text leaves them out.
    let spoken = |all: &[Message]| -> Vec<(String, String)> {
        let all = all.iter().filter(|message| message.role != "system");
        all.map(|message| (message.role.clone(), message.content.trim().to_string())).collect()
    };
    if shared.starts_with(&before) || !spoken(&before).is_empty() && spoken(shared).starts_with(&spoken(&before)) {
        before.clear();
    }
    let query = transcript(&before) + &transcript(shared);
    let [chosen, rejected] = [chosen, rejected].map(|all| transcript(all.get(common..).unwrap_or_default()));
    // The heading of an answer belongs to the query, as in a text.
    match (chosen.strip_prefix(ASSISTANT), rejected.strip_prefix(ASSISTANT)) {
        (Some(chosen), Some(rejected)) => (query + ASSISTANT, [chosen.into(), rejected.into()]),
        _ => (query, [chosen, rejected]),
    }
}

/// Formats the pairs of the best response with each of the others, as TRL's standard preference type, one line
/// a pair. A response with the same text as the best makes no pair.
pub fn to_trl(comparison: &Comparison) -> String {
    let Some(chosen) = comparison.responses.get(comparison.best) else { return String::new() };
    let others = comparison.responses.iter().filter(|response| *response != chosen);
    others
        .map(|rejected| {
            format!("{}\n", serde_json::json!({"prompt": comparison.query, "chosen": chosen, "rejected": rejected}))
        })
        .collect()
}
