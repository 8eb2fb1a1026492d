//! `/v1/apps/{app}/tasks`: commands that run once, to their end.

use axum::Json;
use axum::extract::State;
use tapit_model::{Outcome, ProcessPatch, Progress, Request, TaskView};

use super::Api;
use super::apps::{SettledQuery, submit};
use super::errors::ApiError;
use super::extract::{Asked, ChangeQuery, InApp, InTask, NoQuery, WordsBody};

/// The tasks of an app that are remembered, the newest first: all that have not ended, and the last 20 that have.
#[utoipa::path(
    get, path = "/v1/apps/{app}/tasks", tag = "tasks",
    params(("app" = String, Path, description = "name of the app")),
    responses((status = 200, body = Vec<TaskView>))
)]
pub(super) async fn list(
    State(api): State<Api>,
    InApp(app): InApp,
    _: Asked<NoQuery>,
) -> Result<Json<Vec<TaskView>>, ApiError> {
    Ok(Json(api.core.tasks(&app).await?))
}

/// Runs a command once, in a container of its own with the app's image.
#[utoipa::path(
    post, path = "/v1/apps/{app}/tasks", tag = "tasks",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("dry_run" = Option<bool>, Query, description = "say what would be done, and change nothing")
    ),
    request_body = inline(super::openapi::NewTask),
    responses((status = 200, body = Outcome))
)]
pub(super) async fn create(
    State(api): State<Api>,
    InApp(app): InApp,
    Asked(ChangeQuery { dry_run }): Asked<ChangeQuery>,
    WordsBody(words): WordsBody,
) -> Result<Json<Outcome>, ApiError> {
    let patch = ProcessPatch::parse(&words, true)?;
    submit(api, Request::CreateTask { app, patch }, dry_run).await
}

/// Everything known of a task.
#[utoipa::path(
    get, path = "/v1/apps/{app}/tasks/{task}", tag = "tasks",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("task" = u64, Path, description = "number of the task")
    ),
    responses((status = 200, body = TaskView))
)]
pub(super) async fn show(
    State(api): State<Api>,
    InTask(app, task): InTask,
    _: Asked<NoQuery>,
) -> Result<Json<TaskView>, ApiError> {
    Ok(Json(api.core.task(&app, task).await?))
}

/// Ends a task before its time: SIGTERM, and SIGKILL after its `stop_timeout`.
#[utoipa::path(
    post, path = "/v1/apps/{app}/tasks/{task}/stop", tag = "tasks",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("task" = u64, Path, description = "number of the task"),
        ("dry_run" = Option<bool>, Query, description = "say what would be done, and change nothing")
    ),
    responses((status = 200, body = Outcome))
)]
pub(super) async fn stop(
    State(api): State<Api>,
    InTask(app, task): InTask,
    Asked(ChangeQuery { dry_run }): Asked<ChangeQuery>,
) -> Result<Json<Outcome>, ApiError> {
    submit(api, Request::StopTask { app, task }, dry_run).await
}

/// How far a task has come; it is settled once it has ended.
///
/// Holds the request until then, `wait` seconds at most; ask again then.
#[utoipa::path(
    get, path = "/v1/apps/{app}/tasks/{task}/settled", tag = "tasks",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("task" = u64, Path, description = "number of the task"),
        ("revision" = Option<u64>, Query, description = "from the outcome of the change"),
        ("wait" = Option<u64>, Query, description = "seconds to wait, 25 at most")
    ),
    responses((status = 200, body = Progress))
)]
pub(super) async fn settled(
    State(api): State<Api>,
    InTask(app, task): InTask,
    Asked(asked): Asked<SettledQuery>,
) -> Result<Json<Progress>, ApiError> {
    Ok(Json(api.core.settled(&app, Some(&task.process()), asked.revision, asked.wait()).await?))
}
