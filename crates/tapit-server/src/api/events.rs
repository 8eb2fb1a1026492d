//! `/v1/events`: what happened.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tapit_model::EventView;
use tapit_store::EventFilter;

use super::Api;
use super::errors::ApiError;
use super::extract::{Asked, app_name, process_name};

const DEFAULT_LIMIT: u32 = 100;
const MOST: u32 = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    app: Option<String>,
    process: Option<String>,
    after: Option<u64>,
    limit: Option<u32>,
}

impl EventsQuery {
    fn filter(self) -> Result<EventFilter, ApiError> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MOST).contains(&limit) {
            return Err(ApiError::usage(format!("limit={limit} is not legal; give a number from 1 to {MOST}")));
        }
        Ok(EventFilter {
            app: self.app.as_deref().map(app_name).transpose()?,
            process: self.process.as_deref().map(process_name).transpose()?,
            after_id: self.after,
            limit,
        })
    }
}

/// Events, newest last: the newest ones, or with `after` those that follow an id.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    params(
        ("app" = Option<String>, Query, description = "only of this app"),
        ("process" = Option<String>, Query, description = "only of processes of this name"),
        ("after" = Option<u64>, Query, description = "only after this id, oldest first in line for the limit"),
        ("limit" = Option<u32>, Query, description = "1 to 1000, 100 when left out")
    ),
    responses((status = 200, body = Vec<EventView>))
)]
pub(super) async fn list(
    State(api): State<Api>,
    Asked(asked): Asked<EventsQuery>,
) -> Result<Json<Vec<EventView>>, ApiError> {
    Ok(Json(api.core.events(asked.filter()?).await?))
}
