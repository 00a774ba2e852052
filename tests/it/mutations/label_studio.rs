//! Mutated exports of Label Studio.

use preftune::data::comparisons::{Comparison, Record};

use super::comparisons::{Read, counted, ours};
use super::documents::{self, Form};
use super::json::Json;
use super::trial::outcome;

#[test]
fn a_damaged_export_of_label_studio_is_refused_or_read_to_the_letter() {
    test("mutations::label_studio::a_damaged_export_of_label_studio_is_refused_or_read_to_the_letter", 700);
}

#[test]
#[ignore = "takes up to a minute"]
fn every_damaged_export_of_label_studio_is_refused_or_read_to_the_letter() {
    test("mutations::label_studio::every_damaged_export_of_label_studio_is_refused_or_read_to_the_letter", 3000);
}

fn test(test: &'static str, mutants: u64) {
    let originals: Vec<Json> = ORIGINALS.lines().map(|line| Json::read(line).unwrap()).collect();
    documents::test(test, mutants, &originals, &[Form::Array, Form::Array, Form::Lines], &|bytes| {
        outcome(ours(bytes), theirs(bytes))
    });
}

const ORIGINALS: &str = r#"{"id":7,"data":{"prompt":"The quick brown fox","answer1":"jumps over the lazy dog.","answer2":"bags few lynx."},"annotations":[{"id":31,"completed_by":2,"was_cancelled":false,"lead_time":4.25,"result":[{"from_name":"c","to_name":"answer1,answer2","type":"pairwise","value":{"selected":"right"}}]},{"id":33,"completed_by":2,"was_cancelled":true,"result":[]}]}
{"id":8,"data":{"query":"Two.","a":" one","b":" two"},"annotations":[{"id":34,"completed_by":{"id":3,"email":"ada@example.org"},"result":[{"from_name":"c","to_name":"a, b","type":"pairwise","value":{"selected":"left"}},{"from_name":"r","to_name":"a","type":"rating","value":{"rating":4}}]}]}
{"id":9,"data":{"text":"Three ","a":"one","b":"two"},"annotations":[{"id":35,"lead_time":0.19808613744640002,"result":[{"from_name":"c","to_name":"b,a","type":"pairwise","value":{"selected":"a"}}]},{"id":36,"completed_by":5,"result":[{"from_name":"c","to_name":"a,b","type":"pairwise","value":{"selected":"right"}}]}]}"#;

fn theirs(bytes: &[u8]) -> Result<Read, String> {
    let entries = documents::read(bytes)?;
    let mut question = None;
    counted(entries.iter().map(|(line, entry)| Ok((*line, task(entry, &mut question)?))))
}

fn optional<'a, T>(of: &'a Json, key: &str, read: impl Fn(&'a Json) -> Result<T, String>) -> Result<Option<T>, String> {
    of.some(key).map(read).transpose()
}

/// Reads one comparison from each annotation by the table of datasets/README.md. All must answer the same
/// question.
fn task(entry: &Json, question: &mut Option<String>) -> Result<Vec<Record>, String> {
    let data = entry.get("data").ok_or("no data")?;
    data.object()?;
    let annotations = entry.get("annotations").ok_or("no annotations")?.array()?;
    let mut found = Vec::new();
    for annotation in annotations {
        annotation.object()?;
        let id = optional(annotation, "id", Json::count)?;
        let seconds = optional(annotation, "lead_time", Json::number)?;
        let Json::Bool(cancelled) = annotation.get("was_cancelled").unwrap_or(&Json::Bool(false)) else {
            return Err("cancelled or not?".into());
        };
        let results = annotation.get("result").map_or(Ok(&[][..]), Json::array)?;
        let mut answers: Vec<&Json> = Vec::new();
        for result in results {
            result.object()?;
            let text = |key: &str| result.get(key).map_or(Ok(""), Json::text);
            let (kind, name, _) = (text("type")?, text("from_name")?, text("to_name")?);
            if *cancelled || kind != "pairwise" {
                continue;
            }
            if question.get_or_insert_with(|| name.into()) != name {
                return Err(format!("another question, {name}"));
            }
            answers.push(result);
        }
        let Some(answer) = answers.first() else { continue };
        if answers.iter().any(|other| other.get("value") != answer.get("value")) {
            return Err("two answers".into());
        }
        let (query, responses, best) = choice(data, answer)?;
        let apart = |response: &str| {
            let is_apart = query.ends_with(char::is_whitespace) || response.starts_with(char::is_whitespace);
            format!("{}{response}", if is_apart { "" } else { " " })
        };
        found.push(Record::Judged(Comparison {
            id: id.map_or(String::new(), |id| format!("label-studio-{id}")),
            query: query.clone(),
            responses: responses.iter().map(|response| apart(response)).collect(),
            best,
            labeler: labeler(annotation.get("completed_by")),
            ms: seconds.and_then(milliseconds),
            ..Comparison::default()
        }));
    }
    Ok(found)
}

/// Returns the query, the two responses and the index of the better one.
fn choice(data: &Json, answer: &Json) -> Result<(String, [String; 2], usize), String> {
    let names = answer.get("to_name").map_or(Ok(""), Json::text)?;
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    let [left, right] = names[..] else { return Err("no two fields".into()) };
    let text = |name: &str| data.get(name).and_then(|value| value.text().ok());
    let responses = [text(left).ok_or("no left response")?, text(right).ok_or("no right response")?];
    let fields = ["prompt", "query", "question", "text"].into_iter().filter(|name| !names.contains(name));
    let queries: Vec<&str> = fields.filter_map(text).collect();
    let query = *queries.first().ok_or("no query")?;
    if query.trim().is_empty() || queries.iter().any(|other| *other != query) {
        return Err("a blank query, or several".into());
    }
    let selected = answer.get("value").and_then(|value| value.get("selected")).ok_or("nothing selected")?.text()?;
    let best = match selected {
        "left" => 0,
        "right" => 1,
        name if name == left => 0,
        name if name == right => 1,
        _ => return Err("selected neither".into()),
    };
    Ok((query.into(), responses.map(String::from), best))
}

/// Converts a duration to milliseconds, if it is possible.
fn milliseconds(seconds: f64) -> Option<u64> {
    let time = seconds * 1000.0;
    (0.0..1e15).contains(&time).then_some(time as u64)
}

fn labeler(completed_by: Option<&Json>) -> String {
    match completed_by {
        // A whole number is kept as it is written.
        Some(Json::Number(digits)) => match (digits.parse::<u64>(), digits.parse::<i64>()) {
            (Ok(number), _) => number.to_string(),
            (_, Ok(number)) if number != 0 => number.to_string(),
            _ => serde_json::Number::from_f64(digits.parse().unwrap()).map_or(digits.clone(), |n| n.to_string()),
        },
        Some(person) => person.get("email").and_then(|email| email.text().ok()).unwrap_or_default().into(),
        None => String::new(),
    }
}
