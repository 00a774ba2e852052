//! Requests of the page, and the replies to them.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;

use super::AppState;
use super::guard::refusal;
use crate::error::{Error, Result};
use crate::labels::question::{Answer, Attribution, is_name};
use crate::labels::queue::{LabelProgress, LabelQueue, NextTask};
use crate::platform::unix_seconds;
use crate::sanitize::sanitize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Labeler {
    labeler: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Skipped {
    labeler: String,
    id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answered {
    labeler: String,
    id: String,
    /// Place of the response on the screen, from 0; null if the labeler cannot tell. The field is never missing.
    #[serde(deserialize_with = "Option::deserialize")]
    choice: Option<usize>,
    ms: u32,
}

/// JSON object with named fields; a structure alone would also be read from a list of its values.
pub(super) struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> std::result::Result<T, M::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// View that the page shows next.
#[derive(Serialize)]
struct View {
    /// Name of the state: `question`, `wait`, `later`, `training`, `stopped` or `done`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<Shown>,
    progress: LabelProgress,
}

/// Question without the facts that are hidden from the labeler.
#[derive(Serialize)]
struct Shown {
    id: String,
    query: String,
    responses: Vec<String>,
}

pub(super) async fn instructions(State(app): State<Arc<AppState>>) -> Response {
    Json(json!({ "instructions": app.instructions })).into_response()
}

pub(super) async fn next(State(app): State<Arc<AppState>>, Json(Object(asked)): Json<Object<Labeler>>) -> Response {
    at_queue(&app, &asked.labeler, |_| Ok(()))
}

pub(super) async fn answer(
    State(app): State<Arc<AppState>>,
    Json(Object(answered)): Json<Object<Answered>>,
) -> Response {
    let Answered { labeler, id, choice, ms } = answered;
    let answer = choice.map_or(Answer::CannotTell, Answer::Best);
    let attribution = Attribution { labeler: labeler.clone(), ms: Some(ms.into()), at: unix_seconds() };
    at_queue(&app, &labeler, |queue| queue.answer(&id, answer, attribution))
}

pub(super) async fn skip(State(app): State<Arc<AppState>>, Json(Object(skipped)): Json<Object<Skipped>>) -> Response {
    at_queue(&app, &skipped.labeler, |queue| queue.skip(&skipped.labeler, &skipped.id))
}

pub(super) async fn undo(State(app): State<Arc<AppState>>, Json(Object(asked)): Json<Object<Labeler>>) -> Response {
    at_queue(&app, &asked.labeler, |queue| queue.undo(&asked.labeler, unix_seconds()))
}

pub(super) async fn stop(State(app): State<Arc<AppState>>, Json(Object(asked)): Json<Object<Labeler>>) -> Response {
    at_queue(&app, &asked.labeler, |queue| {
        queue.stop_run(&asked.labeler);
        Ok(())
    })
}

/// Runs `work` for a labeler, and returns the labeler's next view. An answer is on the disk by then: this thread waits
/// for the disk, as do the others, which would have to wait for the queue anyway.
fn at_queue(app: &AppState, labeler: &str, work: impl FnOnce(&mut LabelQueue) -> Result<()>) -> Response {
    if !is_name(labeler) {
        return refusal(StatusCode::BAD_REQUEST, "a name is 1 to 64 visible characters");
    }
    match app.queue.with(|queue| work(queue).and_then(|()| view(queue, labeler))) {
        Ok(view) => Json(view).into_response(),
        Err(error @ (Error::Usage { .. } | Error::Failed { .. })) => refusal(StatusCode::CONFLICT, &error.to_string()),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn view(queue: &mut LabelQueue, labeler: &str) -> Result<View> {
    let (state, question) = match queue.next(labeler)? {
        NextTask::Answer(question) => ("question", Some(question)),
        NextTask::Wait => ("wait", None),
        NextTask::Later => ("later", None),
        NextTask::Training => ("training", None),
        NextTask::Stopped => ("stopped", None),
        NextTask::Done => ("done", None),
    };
    let question = question.map(|question| Shown {
        responses: question.shown().iter().map(|response| sanitize(response)).collect(),
        query: sanitize(&question.query),
        id: question.id,
    });
    Ok(View { state, question, progress: queue.progress(labeler) })
}
