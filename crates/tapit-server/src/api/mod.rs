//! The HTTP API: JSON over a unix socket or TCP.
//!
//! One file per noun. Handlers parse, ask the `Core`, and answer; they hold no policy. `serve_unix` and `serve_tcp` are
//! called by the server with listeners that it has bound. The document that `GET /v1/openapi.json` answers lists every
//! path; a test keeps it complete.

mod apps;
mod core;
mod diff;
mod errors;
mod events;
mod exec;
mod extract;
mod guard;
mod images;
mod logs;
mod metrics;
mod openapi;
mod processes;
mod push;
mod registries;
mod serve;
mod spool;
mod status;
mod tasks;
#[cfg(test)]
mod tests;
mod transfer;
mod usage;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use futures_util::FutureExt;
use tapit_model::{Code, Refusal};

pub use core::{Core, ExecAsked, LogPage, LogPages, LogQuery, LogTime, LogsBroken, TransferFrames};
pub use serve::{serve_tcp, serve_unix};

use errors::ApiError;
use guard::Door;
use spool::Limits;

/// What handlers share.
#[derive(Clone)]
struct Api {
    core: Arc<dyn Core>,
    limits: Limits,
    sessions: exec::Sessions,
}

/// Every path with what answers it; the router and the test of the document are made from this one table.
fn routes() -> Vec<(&'static str, MethodRouter<Api>)> {
    vec![
        ("/v1/status", get(status::show)),
        ("/v1/openapi.json", get(openapi::show)),
        ("/v1/apps", get(apps::list).post(apps::create)),
        ("/v1/apps/{app}", get(apps::show).patch(apps::set).delete(apps::delete)),
        ("/v1/apps/{app}/settled", get(apps::settled)),
        ("/v1/apps/{app}/diff", get(diff::list)),
        ("/v1/apps/{app}/processes", get(processes::list).post(processes::create)),
        ("/v1/apps/{app}/processes/{process}", get(processes::show).patch(processes::set).delete(processes::delete)),
        ("/v1/apps/{app}/processes/{process}/restart", post(processes::restart)),
        ("/v1/apps/{app}/processes/{process}/interrupt", post(processes::interrupt)),
        ("/v1/apps/{app}/processes/{process}/exec", post(exec::start)),
        ("/v1/apps/{app}/processes/{process}/settled", get(processes::settled)),
        ("/v1/apps/{app}/tasks", get(tasks::list).post(tasks::create)),
        ("/v1/apps/{app}/tasks/{task}", get(tasks::show)),
        ("/v1/apps/{app}/tasks/{task}/stop", post(tasks::stop)),
        ("/v1/apps/{app}/tasks/{task}/settled", get(tasks::settled)),
        ("/v1/apps/{app}/usage", get(usage::list)),
        ("/metrics", get(metrics::show)),
        ("/v1/events", get(events::list)),
        ("/v1/apps/{app}/logs", get(logs::read)),
        ("/v1/images", get(images::list).post(images::import)),
        ("/v1/images/pull", post(images::pull)),
        ("/v1/images/push", post(push::push)),
        ("/v1/images/prune", post(images::prune)),
        ("/v1/registries", get(registries::list)),
        ("/v1/registry", get(registries::show).patch(registries::set).delete(registries::delete)),
        ("/v1/image", get(images::show).delete(images::delete)),
    ]
}

/// The whole API behind one door. Whoever may not pass the door learns nothing, also not which paths there are.
fn router(api: Api, door: Door) -> Router {
    routes()
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| router.route(path, methods))
        .fallback(errors::unknown_path)
        .method_not_allowed_fallback(errors::wrong_method)
        // Bodies are bounded where they are read, each with its own bound.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::new(door), guard::watch))
        .layer(from_fn(answer_panics))
        .with_state(api)
}

async fn answer_panics(request: Request, next: Next) -> Response {
    // Handlers share only the `Core`, which must cope with a caller that ends half-way in any case.
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => ApiError::panicked(&*panic).into_response(),
    }
}

/// Runs work in a task of its own, so that it is not cut off half-way when whoever asked hangs up.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, ApiError> {
    tokio::spawn(work).await.map_err(|error| match error.try_into_panic() {
        Ok(panic) => ApiError::panicked(&*panic),
        Err(_) => Refusal::new(Code::Unavailable, "the server is shutting down; ask again when it is back").into(),
    })
}
