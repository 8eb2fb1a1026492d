//! What is set for registries, as users see and change it.

use tapit_engine::EngineError;
use tapit_model::{ImageRef, Outcome, Refusal, RegistryName, RegistryPatch, RegistrySettings, RegistryView, describe};
use tapit_plan::app::ImageProgress;

use super::outcome;
use crate::hub::Hub;
use crate::prepare;

pub async fn list(hub: &Hub) -> Result<Vec<RegistryView>, Refusal> {
    let all = hub.engine.images().registries().await.map_err(|error| failed(&error))?;
    Ok(all.iter().map(|(name, settings)| view(name, settings)).collect())
}

pub async fn show(hub: &Hub, name: &RegistryName) -> Result<RegistryView, Refusal> {
    find(hub, name).await.map(|settings| view(name, &settings))
}

pub async fn set(hub: &Hub, name: &RegistryName, patch: RegistryPatch, dry_run: bool) -> Result<Outcome, Refusal> {
    let images = hub.engine.images();
    let before = images.registries().await.map_err(|error| failed(&error))?.remove(name);
    let is_new = before.is_none();
    let before = before.unwrap_or_default();
    let after = patch.apply(name, &before)?;
    let (keys, changed) = (patch.keys().join(", "), after != before);
    let message = match (dry_run, changed) {
        (_, false) => format!("nothing to change: {keys} of the registry {name} are so already"),
        (true, true) => format!("would set {keys} of the registry {name}"),
        (false, true) => format!("set {keys} of the registry {name}"),
    };
    let inverse =
        if is_new { Some(format!("tapit delete registry {name} --force")) } else { undo(name, &patch, &before) };
    if changed && !dry_run {
        let kept = (after != RegistrySettings::default()).then_some(after);
        images.set_registry(name, kept).await.map_err(|error| failed(&error))?;
        ask_again(hub);
    }
    Ok(Outcome { inverse: inverse.filter(|_| changed), ..outcome(message, dry_run, changed) })
}

pub async fn delete(hub: &Hub, name: &RegistryName, dry_run: bool) -> Result<Outcome, Refusal> {
    find(hub, name).await?;
    if dry_run {
        return Ok(outcome(format!("would forget what is set for the registry {name}"), true, true));
    }
    hub.engine.images().set_registry(name, None).await.map_err(|error| failed(&error))?;
    ask_again(hub);
    Ok(outcome(format!("forgot what was set for the registry {name}"), false, true))
}

async fn find(hub: &Hub, name: &RegistryName) -> Result<RegistrySettings, Refusal> {
    let mut all = hub.engine.images().registries().await.map_err(|error| failed(&error))?;
    let names: Vec<_> = all.keys().map(RegistryName::to_string).collect();
    all.remove(name).ok_or_else(|| {
        let there =
            if names.is_empty() { "there is none".to_owned() } else { format!("there are {}", names.join(", ")) };
        Refusal::not_found(format!("nothing is set for a registry {name}: {there}"))
    })
}

fn view(name: &RegistryName, settings: &RegistrySettings) -> RegistryView {
    RegistryView {
        name: name.to_string(),
        username: settings.login.as_ref().map(|login| login.username.clone()),
        mirror: settings.mirrors.iter().map(RegistryName::to_string).collect(),
        plain_http: settings.plain_http,
    }
}

/// The command that brings back what was; none where that would have to show a password.
fn undo(name: &RegistryName, patch: &RegistryPatch, before: &RegistrySettings) -> Option<String> {
    let words: Option<Vec<String>> = patch
        .keys()
        .into_iter()
        .map(|key| match key {
            "mirror" => {
                let names: Vec<_> = before.mirrors.iter().map(RegistryName::as_str).collect();
                Some(format!("mirror={}", names.join(",")))
            }
            "plain_http" => Some(format!("plain_http={}", before.plain_http)),
            key => before.login.is_none().then(|| format!("{key}=")),
        })
        .collect();
    Some(format!("tapit set registry {name} {}", words?.join(" ")))
}

/// Whatever could not be had may be had now: a login also counts for images of which this registry is a mirror.
fn ask_again(hub: &Hub) {
    let failed: Vec<ImageRef> = {
        let images = hub.images();
        let failed = images.iter().filter(|(_, progress)| matches!(progress, ImageProgress::Failed { .. }));
        failed.map(|(image, _)| image.clone()).collect()
    };
    for image in &failed {
        prepare::forget_failure(hub, image);
    }
}

fn failed(error: &EngineError) -> Refusal {
    Refusal::failed(describe(error))
}
