//! Processes.

use hyper::Method;
use tapit_model::{AppName, ProcessName, ProcessView, Words};

use super::change::{Goal, finish};
use super::session::Session;
use super::{Stop, confirm};
use crate::output::{process_page, processes_table};

fn place(app: &AppName, name: &ProcessName) -> String {
    format!("/v1/apps/{app}/processes/{name}")
}

pub async fn create(session: &mut Session<'_, '_>, name: &ProcessName, mut words: Words) -> Result<(), Stop> {
    let app = session.app().await?;
    words.insert("name".to_owned(), name.to_string());
    let path = format!("/v1/apps/{app}/processes{}", session.dry_run());
    let outcome = session.client.change(Method::POST, &path, Some(&words)).await?;
    finish(session, outcome, &place(&app, name), Goal::Steady).await
}

pub async fn set(session: &mut Session<'_, '_>, name: Option<ProcessName>, words: &Words) -> Result<(), Stop> {
    let app = session.app().await?;
    let name = session.process_or_only(&app, name).await?;
    let path = format!("{}{}", place(&app, &name), session.dry_run());
    let outcome = session.client.change(Method::PATCH, &path, Some(words)).await?;
    finish(session, outcome, &place(&app, &name), Goal::Steady).await
}

pub async fn restart(session: &mut Session<'_, '_>, name: Option<ProcessName>) -> Result<(), Stop> {
    let app = session.app().await?;
    let name = session.process(&app, name, "restart process").await?;
    let path = format!("{}/restart{}", place(&app, &name), session.dry_run());
    let outcome = session.client.change(Method::POST, &path, Some(&Words::new())).await?;
    finish(session, outcome, &place(&app, &name), Goal::Steady).await
}

pub async fn show(session: &mut Session<'_, '_>, name: Option<ProcessName>) -> Result<(), Stop> {
    let app = session.app().await?;
    let name = session.process(&app, name, "show process").await?;
    let view: ProcessView = session.client.get(&place(&app, &name)).await?;
    session.show(&view, process_page)
}

pub async fn list(session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let app = session.app().await?;
    let processes: Vec<ProcessView> = session.client.get(&format!("/v1/apps/{app}/processes")).await?;
    session.show(processes.as_slice(), processes_table)
}

pub async fn delete(session: &mut Session<'_, '_>, name: Option<ProcessName>) -> Result<(), Stop> {
    // A missing name is the greater mistake and is reported first; past this point there is a name.
    if name.is_some() {
        confirm::possible("delete process", &session.common, session.screen)?;
    }
    let app = session.app().await?;
    let name = session.process(&app, name, "delete process").await?;
    confirm::process(&name, &app, &session.common, session.screen)?;
    let path = format!("{}{}", place(&app, &name), session.dry_run());
    let outcome = session.client.change(Method::DELETE, &path, None).await?;
    finish(session, outcome, &place(&app, &name), Goal::Gone).await
}

pub async fn interrupt(session: &mut Session<'_, '_>, name: Option<ProcessName>, count: u32) -> Result<(), Stop> {
    let app = session.app().await?;
    let name = session.process(&app, name, "interrupt process").await?;
    let path = format!("{}/interrupt{}", place(&app, &name), session.dry_run());
    let words = Words::from([("count".to_owned(), count.to_string())]);
    let outcome = session.client.change(Method::POST, &path, Some(&words)).await?;
    finish(session, outcome, &place(&app, &name), Goal::Steady).await
}
