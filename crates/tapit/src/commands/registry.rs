//! Registries: what is set for them.

use hyper::Method;
use tapit_model::{Outcome, Refusal, RegistryName, RegistryView, Words};

use super::change::finish_now;
use super::session::Session;
use super::terminal::Unseen;
use super::{Stop, confirm};
use crate::client::query;
use crate::output::{registries_table, registry_page};

/// What stands for the standard input.
const INPUT: &str = "-";
/// No password is longer.
const MAX_PASSWORD: u64 = 64 << 10;

fn path(name: &RegistryName, session: &Session<'_, '_>) -> String {
    let mut pairs = vec![("name", name.to_string())];
    if session.common.dry_run {
        pairs.push(("dry_run", "true".to_owned()));
    }
    format!("/v1/registry{}", query(&pairs))
}

pub async fn set(session: &mut Session<'_, '_>, name: &RegistryName, mut words: Words) -> Result<(), Stop> {
    if words.get("password").is_some_and(|password| password == INPUT) {
        words.insert("password".to_owned(), read_password(session, name)?);
    }
    let path = path(name, session);
    let outcome: Outcome = session.client.change(Method::PATCH, &path, Some(&words)).await?;
    finish_now(session, &outcome)
}

/// The first line of the standard input. On a terminal it is asked for, and not shown.
fn read_password(session: &mut Session<'_, '_>, name: &RegistryName) -> Result<String, Refusal> {
    let asks = session.screen.terminals().input;
    if asks {
        session.screen.say(&format!("password for {name}, which is not shown:"));
    }
    let unseen = if asks { Unseen::enter() } else { None };
    let password = session.screen.line(MAX_PASSWORD);
    drop(unseen);
    let password = password.map_err(|error| Refusal::failed(format!("cannot read the password: {error}")))?;
    if password.is_empty() {
        return Err(Refusal::usage("there is no password on the standard input; password= clears the login"));
    }
    Ok(password)
}

pub async fn list(session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let registries: Vec<RegistryView> = session.client.get("/v1/registries").await?;
    session.show(registries.as_slice(), registries_table)
}

pub async fn show(session: &mut Session<'_, '_>, name: &RegistryName) -> Result<(), Stop> {
    let path = format!("/v1/registry{}", query(&[("name", name.to_string())]));
    let registry: RegistryView = session.client.get(&path).await?;
    session.show(&registry, registry_page)
}

pub async fn delete(session: &mut Session<'_, '_>, name: &RegistryName) -> Result<(), Stop> {
    confirm::registry(name, &session.common, session.screen)?;
    let path = path(name, session);
    let outcome: Outcome = session.client.change(Method::DELETE, &path, None).await?;
    finish_now(session, &outcome)
}
