//! `/v1/apps`: groups of processes.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tapit_model::{AppView, Outcome, ProcessPatch, Progress, Refusal, Request, Words};

use super::errors::ApiError;
use super::extract::{Asked, ChangeQuery, InApp, NoQuery, WordsBody, app_name, image_ref};
use super::{Api, to_the_end};

/// The longest that `settled` holds a request.
const WAIT_LIMIT: Duration = Duration::from_secs(25);

/// All apps, by name.
#[utoipa::path(get, path = "/v1/apps", tag = "apps", responses((status = 200, body = Vec<AppView>)))]
pub(super) async fn list(State(api): State<Api>, _: Asked<NoQuery>) -> Json<Vec<AppView>> {
    Json(api.core.apps().await)
}

/// Creates an app together with its public process, `default`.
///
/// `image` is the app's image; the other keys configure `default`.
#[utoipa::path(
    post, path = "/v1/apps", tag = "apps",
    params(("dry_run" = Option<bool>, Query, description = "say what would be done, and change nothing")),
    request_body = inline(super::openapi::NewApp),
    responses((status = 200, body = Outcome))
)]
pub(super) async fn create(
    State(api): State<Api>,
    Asked(ChangeQuery { dry_run }): Asked<ChangeQuery>,
    mut words: WordsBody,
) -> Result<Json<Outcome>, ApiError> {
    let app = app_name(&words.require("name")?)?;
    let image = words.take("image").filter(|image| !image.is_empty()).map(|image| image_ref(&image)).transpose()?;
    let patch = ProcessPatch::parse(&words.0, true)?;
    submit(api, Request::CreateApp { app, image, patch }, dry_run).await
}

/// One app.
#[utoipa::path(
    get, path = "/v1/apps/{app}", tag = "apps",
    params(("app" = String, Path, description = "name of the app")),
    responses((status = 200, body = AppView))
)]
pub(super) async fn show(
    State(api): State<Api>,
    InApp(app): InApp,
    _: Asked<NoQuery>,
) -> Result<Json<AppView>, ApiError> {
    Ok(Json(api.core.app(&app).await?))
}

/// Changes the app's image; a rollout of every process that uses it follows.
#[utoipa::path(
    patch, path = "/v1/apps/{app}", tag = "apps",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("dry_run" = Option<bool>, Query, description = "say what would be done, and change nothing")
    ),
    request_body = inline(super::openapi::AppKeys),
    responses((status = 200, body = Outcome))
)]
pub(super) async fn set(
    State(api): State<Api>,
    InApp(app): InApp,
    Asked(ChangeQuery { dry_run }): Asked<ChangeQuery>,
    WordsBody(words): WordsBody,
) -> Result<Json<Outcome>, ApiError> {
    let image = Some(app_image(&words)?);
    submit(api, Request::SetApp { app, image }, dry_run).await
}

/// The one key that an app has; an empty value clears it.
fn app_image(words: &Words) -> Result<Option<tapit_model::ImageRef>, ApiError> {
    const LEGAL: &str = "an app has one key, image; sizes, counts and commands are keys of its processes";
    if let Some(unknown) = words.keys().find(|key| *key != "image") {
        return Err(ApiError::usage(format!("unknown key {unknown:?}; {LEGAL}")));
    }
    match words.get("image").map(String::as_str) {
        Some("") => Ok(None),
        Some(image) => image_ref(image).map(Some),
        None => Err(ApiError::usage(format!("nothing to set; {LEGAL}"))),
    }
}

/// Deletes an app with all of its processes.
#[utoipa::path(
    delete, path = "/v1/apps/{app}", tag = "apps",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("dry_run" = Option<bool>, Query, description = "say what would be done, and change nothing")
    ),
    responses((status = 200, body = Outcome))
)]
pub(super) async fn delete(
    State(api): State<Api>,
    InApp(app): InApp,
    Asked(ChangeQuery { dry_run }): Asked<ChangeQuery>,
) -> Result<Json<Outcome>, ApiError> {
    submit(api, Request::DeleteApp { app }, dry_run).await
}

/// How far a change of the app has come.
///
/// Holds the request until the change is settled, `wait` seconds at most; ask again then.
#[utoipa::path(
    get, path = "/v1/apps/{app}/settled", tag = "apps",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("revision" = Option<u64>, Query, description = "from the outcome of the change"),
        ("wait" = Option<u64>, Query, description = "seconds to wait, 25 at most")
    ),
    responses((status = 200, body = Progress))
)]
pub(super) async fn settled(
    State(api): State<Api>,
    InApp(app): InApp,
    Asked(asked): Asked<SettledQuery>,
) -> Result<Json<Progress>, ApiError> {
    Ok(Json(api.core.settled(&app, None, asked.revision, asked.wait()).await?))
}

/// What is waited for, and how long.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SettledQuery {
    #[serde(default)]
    pub(super) revision: u64,
    #[serde(default)]
    wait: u64,
}

impl SettledQuery {
    pub(super) fn wait(&self) -> Duration {
        Duration::from_secs(self.wait).min(WAIT_LIMIT)
    }
}

/// Hands a typed request over; it runs to its end even when whoever asked hangs up.
pub(super) async fn submit(api: Api, request: Request, dry_run: bool) -> Result<Json<Outcome>, ApiError> {
    let outcome: Result<Outcome, Refusal> = to_the_end(async move { api.core.submit(request, dry_run).await }).await?;
    Ok(Json(outcome?))
}
