//! `/v1/apps/{app}/processes`: the named services of an app.

use axum::Json;
use axum::extract::State;
use tapit_model::{Outcome, ProcessPatch, ProcessView, Progress, Request};

use super::apps::{SettledQuery, submit};
use super::errors::ApiError;
use super::extract::{Asked, ChangeQuery, InApp, InProcess, NoQuery, WordsBody, process_name};
use super::{Api, to_the_end};

/// The processes of an app, by name, without usage and events.
#[utoipa::path(
    get, path = "/v1/apps/{app}/processes", tag = "processes",
    params(("app" = String, Path, description = "name of the app")),
    responses((status = 200, body = Vec<ProcessView>))
)]
pub(super) async fn list(
    State(api): State<Api>,
    InApp(app): InApp,
    _: Asked<NoQuery>,
) -> Result<Json<Vec<ProcessView>>, ApiError> {
    Ok(Json(api.core.processes(&app).await?))
}

/// Creates a process, or configures the `default` that came with the app.
#[utoipa::path(
    post, path = "/v1/apps/{app}/processes", tag = "processes",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("dry_run" = Option<bool>, Query, description = "say what would be done, and change nothing")
    ),
    request_body = inline(super::openapi::NewProcess),
    responses((status = 200, body = Outcome))
)]
pub(super) async fn create(
    State(api): State<Api>,
    InApp(app): InApp,
    Asked(ChangeQuery { dry_run }): Asked<ChangeQuery>,
    mut words: WordsBody,
) -> Result<Json<Outcome>, ApiError> {
    let process = process_name(&words.require("name")?)?;
    let patch = ProcessPatch::parse(&words.0, true)?;
    submit(api, Request::CreateProcess { app, process, patch }, dry_run).await
}

/// Everything known of a process.
#[utoipa::path(
    get, path = "/v1/apps/{app}/processes/{process}", tag = "processes",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("process" = String, Path, description = "name of the process")
    ),
    responses((status = 200, body = ProcessView))
)]
pub(super) async fn show(
    State(api): State<Api>,
    InProcess(app, process): InProcess,
    _: Asked<NoQuery>,
) -> Result<Json<ProcessView>, ApiError> {
    Ok(Json(api.core.process(&app, &process).await?))
}

/// Changes a process; several keys make one rollout, and an empty value goes back to the default.
#[utoipa::path(
    patch, path = "/v1/apps/{app}/processes/{process}", tag = "processes",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("process" = String, Path, description = "name of the process"),
        ("dry_run" = Option<bool>, Query, description = "say what would be done, and change nothing")
    ),
    request_body = inline(super::openapi::ProcessKeys),
    responses((status = 200, body = Outcome))
)]
pub(super) async fn set(
    State(api): State<Api>,
    InProcess(app, process): InProcess,
    Asked(ChangeQuery { dry_run }): Asked<ChangeQuery>,
    WordsBody(words): WordsBody,
) -> Result<Json<Outcome>, ApiError> {
    let patch = ProcessPatch::parse(&words, false)?;
    submit(api, Request::SetProcess { app, process, patch }, dry_run).await
}

/// Deletes a process with all of its instances.
#[utoipa::path(
    delete, path = "/v1/apps/{app}/processes/{process}", tag = "processes",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("process" = String, Path, description = "name of the process"),
        ("dry_run" = Option<bool>, Query, description = "say what would be done, and change nothing")
    ),
    responses((status = 200, body = Outcome))
)]
pub(super) async fn delete(
    State(api): State<Api>,
    InProcess(app, process): InProcess,
    Asked(ChangeQuery { dry_run }): Asked<ChangeQuery>,
) -> Result<Json<Outcome>, ApiError> {
    submit(api, Request::DeleteProcess { app, process }, dry_run).await
}

/// Replaces every instance by a rolling rollout of the same configuration.
#[utoipa::path(
    post, path = "/v1/apps/{app}/processes/{process}/restart", tag = "processes",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("process" = String, Path, description = "name of the process"),
        ("dry_run" = Option<bool>, Query, description = "say what would be done, and change nothing")
    ),
    responses((status = 200, body = Outcome))
)]
pub(super) async fn restart(
    State(api): State<Api>,
    InProcess(app, process): InProcess,
    Asked(ChangeQuery { dry_run }): Asked<ChangeQuery>,
) -> Result<Json<Outcome>, ApiError> {
    submit(api, Request::RestartProcess { app, process }, dry_run).await
}

/// Gives spot instances a notice by hand, so that an app's handling of it can be tried.
#[utoipa::path(
    post, path = "/v1/apps/{app}/processes/{process}/interrupt", tag = "processes",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("process" = String, Path, description = "name of the process"),
        ("dry_run" = Option<bool>, Query, description = "say what would be done, and change nothing")
    ),
    request_body = inline(super::openapi::Interrupt),
    responses((status = 200, body = Outcome))
)]
pub(super) async fn interrupt(
    State(api): State<Api>,
    InProcess(app, process): InProcess,
    Asked(ChangeQuery { dry_run }): Asked<ChangeQuery>,
    mut words: WordsBody,
) -> Result<Json<Outcome>, ApiError> {
    let count = interrupt_count(words.take("count"))?;
    if let Some(unknown) = words.0.keys().next() {
        return Err(ApiError::usage(format!("unknown key {unknown:?}; interrupt has one key, count")));
    }
    let outcome = to_the_end(async move { api.core.interrupt(&app, &process, count, dry_run).await }).await?;
    Ok(Json(outcome?))
}

fn interrupt_count(word: Option<String>) -> Result<u32, ApiError> {
    let most = tapit_model::CountChange::MAX;
    let Some(word) = word else { return Ok(1) };
    let digits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    word.parse()
        .ok()
        .filter(|count| digits && (1..=most).contains(count))
        .ok_or_else(|| ApiError::usage(format!("count={word} is not legal; give a whole number from 1 to {most}")))
}

/// How far a change of the process has come.
///
/// Holds the request until the change is settled, `wait` seconds at most; ask again then.
#[utoipa::path(
    get, path = "/v1/apps/{app}/processes/{process}/settled", tag = "processes",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("process" = String, Path, description = "name of the process"),
        ("revision" = Option<u64>, Query, description = "from the outcome of the change"),
        ("wait" = Option<u64>, Query, description = "seconds to wait, 25 at most")
    ),
    responses((status = 200, body = Progress))
)]
pub(super) async fn settled(
    State(api): State<Api>,
    InProcess(app, process): InProcess,
    Asked(asked): Asked<SettledQuery>,
) -> Result<Json<Progress>, ApiError> {
    Ok(Json(api.core.settled(&app, Some(&process), asked.revision, asked.wait()).await?))
}
