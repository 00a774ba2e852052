//! Tasks of Label Studio that were judged with its `Pairwise` tag, as its JSON export has them.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::data::comparisons::Comparison;
use crate::data::left_out::{LeftOut, Reason};
use crate::json;

#[derive(Deserialize)]
struct Task {
    data: Map<String, Value>,
    annotations: Vec<Annotation>,
    #[serde(default)]
    predictions: Value,
    #[serde(default)]
    drafts: Value,
}

#[derive(Deserialize)]
struct Annotation {
    id: Option<u64>,
    /// A number, or a person with an address.
    #[serde(default)]
    completed_by: Value,
    #[serde(default)]
    was_cancelled: bool,
    /// Duration of the annotation, in seconds.
    lead_time: Option<f64>,
    #[serde(default)]
    result: Vec<Region>,
}

impl Annotation {
    fn choices(&self) -> impl Iterator<Item = &Region> {
        self.result.iter().filter(|region| region.kind == "pairwise")
    }
}

#[derive(Deserialize)]
struct Region {
    #[serde(rename = "type", default)]
    kind: String,
    /// Name of the question that this region answers.
    #[serde(default)]
    from_name: String,
    #[serde(default)]
    to_name: String,
    #[serde(default)]
    value: Value,
}

/// Names of the field of the query in a task.
const QUERY_FIELDS: [&str; 4] = ["prompt", "query", "question", "text"];

/// The tasks of a project, in which the answers to one question count.
#[derive(Debug)]
pub(super) struct LabelStudio {
    question: Option<String>,
    /// True if the user named the question.
    is_named: bool,
    /// The questions that were answered so far.
    answered: BTreeSet<String>,
}

impl LabelStudio {
    /// Makes a reader of the answers to this question, or to the only question of the file.
    pub(super) fn about(question: Option<&str>) -> Self {
        Self { question: question.map(String::from), is_named: question.is_some(), answered: BTreeSet::new() }
    }

    /// Makes a comparison of each annotation that answers the question and was not cancelled, and counts the others.
    pub(super) fn comparisons(&mut self, entry: Value, left_out: &mut LeftOut) -> Result<Vec<Comparison>, String> {
        let task: Task = json::from_value(entry).map_err(|fault| fault.to_string())?;
        let count = |value: &Value| value.as_array().map_or(0, Vec::len);
        left_out.count(Reason::PredictionsAndDrafts, count(&task.predictions) + count(&task.drafts));
        let mut found: Vec<Comparison> = Vec::new();
        for annotation in &task.annotations {
            if annotation.was_cancelled {
                left_out.count(Reason::CancelledAnnotations, 1);
                continue;
            }
            match self.choice(annotation)? {
                Some(choice) => found.push(comparison(&task.data, annotation, choice)?),
                None if annotation.choices().next().is_some() => left_out.count(Reason::OtherQuestions, 1),
                None => left_out.count(Reason::AnnotationsWithoutChoice, 1),
            }
        }
        let disagree = found.windows(2).any(|two| matches!(two, [one, other] if one.best != other.best));
        left_out.count(Reason::AnnotatorsDisagree, usize::from(disagree));
        Ok(found)
    }

    /// Returns the fault of a named question that the whole file does not answer, although it answers others.
    pub(super) fn fault(&self) -> Option<String> {
        let question = self.question.as_ref()?;
        if self.answered.is_empty() || self.answered.contains(question) {
            return None;
        }
        let answered: Vec<String> = self.answered.iter().map(|name| format!("{name:?}")).collect();
        Some(format!("there is no question {question:?}; there are {}", answered.join(", ")))
    }

    /// Returns the annotation's answer to the question that counts.
    fn choice<'a>(&mut self, annotation: &'a Annotation) -> Result<Option<&'a Region>, String> {
        let mut names: Vec<&str> = annotation.choices().map(|choice| choice.from_name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        self.answered.extend(names.iter().map(ToString::to_string));
        if !self.is_named && !names.is_empty() {
            let of_file = self.question.take().or_else(|| names.first().map(ToString::to_string)).unwrap_or_default();
            names.push(&of_file);
            names.sort_unstable();
            names.dedup();
            if names.len() > 1 {
                return Err(format!(
                    "there are several pairwise questions, {names:?}; choose one with --question NAME"
                ));
            }
            self.question = Some(of_file);
        }
        let mut answers = annotation.choices().filter(|choice| Some(&choice.from_name) == self.question.as_ref());
        let answer = answers.next();
        match answers.find(|other| Some(&other.value) != answer.map(|answer| &answer.value)) {
            Some(_) => Err(format!("one annotation answers the question {:?} in two ways", self.question)),
            None => Ok(answer),
        }
    }
}

fn comparison(data: &Map<String, Value>, annotation: &Annotation, choice: &Region) -> Result<Comparison, String> {
    let names: Vec<&str> = choice.to_name.split(',').map(str::trim).collect();
    let text = |name: &str| data.get(name).and_then(Value::as_str);
    let responses: Option<Vec<&str>> = names.iter().map(|name| text(name)).collect();
    let (Some(responses), [left, right]) = (responses, names.as_slice()) else {
        return Err(format!("the task's data has no two fields {:?}; name tags as their fields", choice.to_name));
    };
    let fields = QUERY_FIELDS.into_iter().filter(|name| !names.contains(name) && text(name).is_some());
    let fields: Vec<&str> = fields.collect();
    let query = match fields.as_slice() {
        [] => return Err("the task's data has no field \"prompt\"".into()),
        [first, rest @ ..] if rest.iter().all(|other| text(other) == text(first)) => text(first).unwrap_or_default(),
        several => return Err(format!("the query may be in any of {several:?}; leave one of them in the task's data")),
    };
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
        ms: annotation.lead_time.and_then(milliseconds),
        ..Comparison::default()
    })
}

/// Converts seconds to milliseconds; `None` for a negative or absurd number.
fn milliseconds(seconds: f64) -> Option<u64> {
    const LONGEST: f64 = 1e15;
    let time = seconds * 1000.0;
    (0.0..LONGEST).contains(&time).then_some(time as u64)
}

/// Adds the space between a query and a response, if neither has it: people write answers without the space.
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
