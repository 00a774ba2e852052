//! Tasks of Label Studio that were judged with its `Pairwise` tag, as its JSON export has them.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::data::comparisons::Comparison;

#[derive(Deserialize)]
struct Task {
    data: Map<String, Value>,
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Annotation {
    id: Option<u64>,
    /// A number, or a person with an address.
    #[serde(default)]
    completed_by: Value,
    #[serde(default)]
    was_cancelled: bool,
    /// Seconds.
    lead_time: Option<f64>,
    #[serde(default)]
    result: Vec<Region>,
}

#[derive(Deserialize)]
struct Region {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    to_name: String,
    #[serde(default)]
    value: Value,
}

/// What a task may call the text that was answered.
const QUERY_FIELDS: [&str; 4] = ["prompt", "query", "question", "text"];

/// One comparison an annotation that was not cancelled.
pub(super) fn comparisons(entry: Value) -> Result<Vec<Comparison>, String> {
    let task: Task = serde_json::from_value(entry).map_err(|fault| fault.to_string())?;
    let finished = task.annotations.iter().filter(|annotation| !annotation.was_cancelled);
    let with_choice = finished.filter_map(|annotation| {
        let choice = annotation.result.iter().find(|region| region.kind == "pairwise")?;
        Some(comparison(&task.data, annotation, choice))
    });
    with_choice.collect()
}

fn comparison(data: &Map<String, Value>, annotation: &Annotation, choice: &Region) -> Result<Comparison, String> {
    let names: Vec<&str> = choice.to_name.split(',').map(str::trim).collect();
    let text = |name: &str| data.get(name).and_then(Value::as_str);
    let responses: Option<Vec<&str>> = names.iter().map(|name| text(name)).collect();
    let (Some(responses), [left, right]) = (responses, names.as_slice()) else {
        return Err(format!("the task's data has no two fields {:?}; name tags as their fields", choice.to_name));
    };
    let mut queries = QUERY_FIELDS.iter().filter(|name| !names.contains(name));
    let query = queries.find_map(|name| text(name)).ok_or("the task's data has no field \"prompt\"")?;
    let selected = choice.value.get("selected").and_then(Value::as_str).unwrap_or_default();
    let best = match selected {
        "left" => 0,
        "right" => 1,
        name if name == *left => 0,
        name if name == *right => 1,
        other => return Err(format!("selected is {other:?}, neither left nor right")),
    };
    Ok(Comparison {
        id: annotation.id.map_or_else(String::new, |id| format!("label-studio-{id}")),
        query: query.into(),
        responses: responses.into_iter().map(|response| continuing(query, response)).collect(),
        best,
        labeler: labeler(&annotation.completed_by),
        ms: annotation.lead_time.map(|seconds| (seconds * 1000.0) as u64),
        ..Comparison::default()
    })
}

/// People write answers; a response follows its query directly.
fn continuing(query: &str, response: &str) -> String {
    let apart = query.ends_with(char::is_whitespace) || response.starts_with(char::is_whitespace);
    if apart { response.into() } else { format!(" {response}") }
}

fn labeler(completed_by: &Value) -> String {
    match completed_by {
        Value::Number(number) => number.to_string(),
        person => person.get("email").and_then(Value::as_str).unwrap_or_default().into(),
    }
}
