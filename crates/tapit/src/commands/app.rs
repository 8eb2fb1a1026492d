//! Apps.

use hyper::Method;
use tapit_model::{AppName, AppView, Words};

use super::change::{Goal, finish};
use super::session::Session;
use super::{Stop, confirm};
use crate::output::{app_page, apps_table};

fn place(app: &AppName) -> String {
    format!("/v1/apps/{app}")
}

pub async fn create(session: &mut Session<'_, '_>, name: &AppName, mut words: Words) -> Result<(), Stop> {
    words.insert("name".to_owned(), name.to_string());
    let path = format!("/v1/apps{}", session.dry_run());
    let outcome = session.client.change(Method::POST, &path, Some(&words)).await?;
    finish(session, outcome, &place(name), Goal::Steady).await
}

pub async fn list(session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let apps: Vec<AppView> = session.client.get("/v1/apps").await?;
    session.show(apps.as_slice(), apps_table)
}

pub async fn show(session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let app = session.app().await?;
    let view: AppView = session.client.get(&place(&app)).await?;
    session.show(&view, app_page)
}

pub async fn set(session: &mut Session<'_, '_>, words: &Words) -> Result<(), Stop> {
    let app = session.app().await?;
    let path = format!("{}{}", place(&app), session.dry_run());
    let outcome = session.client.change(Method::PATCH, &path, Some(words)).await?;
    finish(session, outcome, &place(&app), Goal::Steady).await
}

pub async fn delete(session: &mut Session<'_, '_>) -> Result<(), Stop> {
    confirm::possible("delete app", &session.common, session.screen)?;
    let app = session.app().await?;
    confirm::app(&app, &session.common, session.screen)?;
    let path = format!("{}{}", place(&app), session.dry_run());
    let outcome = session.client.change(Method::DELETE, &path, None).await?;
    finish(session, outcome, &place(&app), Goal::Gone).await
}
