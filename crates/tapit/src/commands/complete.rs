//! Answers a completion script. A server that is away or slow must not be felt at the prompt: then there are no names.

use std::time::Duration;

use tapit_model::{AppName, AppView, ImageView, ProcessView, RegistryView};

use crate::client::Client;
use crate::grammar::completion::{self, NameKind, Offer};
use crate::select;
use crate::surroundings::Surroundings;

const PATIENCE: Duration = Duration::from_secs(1);

/// What may stand in the place of `current`, one per line.
pub async fn offers(words: &[String], current: &str, surroundings: &Surroundings) -> String {
    let Offer { fixed, named } = completion::offer(words, current);
    let mut all = fixed;
    if let Some((prefix, kind)) = named {
        let app = completion::app_in(words);
        let names = tokio::time::timeout(PATIENCE, names(kind, app.as_deref(), surroundings)).await;
        let names = names.ok().flatten().unwrap_or_default();
        // Names come first: they are what is most often meant.
        all.splice(0..0, names.into_iter().map(|name| format!("{prefix}{name}")));
    }
    all.into_iter().filter(|offer| offer.starts_with(current)).map(|offer| offer + "\n").collect()
}

async fn names(kind: NameKind, app: Option<&str>, surroundings: &Surroundings) -> Option<Vec<String>> {
    let client = Client::new(surroundings).ok()?;
    match kind {
        NameKind::Apps => {
            let apps: Vec<AppView> = client.get("/v1/apps").await.ok()?;
            Some(apps.into_iter().map(|app| app.name).collect())
        }
        NameKind::Images => {
            let images: Vec<ImageView> = client.get("/v1/images").await.ok()?;
            Some(images.into_iter().map(|image| image.name).collect())
        }
        NameKind::Registries => {
            let registries: Vec<RegistryView> = client.get("/v1/registries").await.ok()?;
            Some(registries.into_iter().map(|registry| registry.name).collect())
        }
        NameKind::Processes => {
            let typed = app.and_then(|app| AppName::parse(app).ok());
            let app = match select::app(typed.as_ref(), surroundings).ok()? {
                Some(app) => app.to_string(),
                None => {
                    let apps: Vec<AppView> = client.get("/v1/apps").await.ok()?;
                    apps.into_iter().next().map(|app| app.name)?
                }
            };
            let processes: Vec<ProcessView> = client.get(&format!("/v1/apps/{app}/processes")).await.ok()?;
            Some(processes.into_iter().map(|process| process.name).collect())
        }
        NameKind::Nothing
        | NameKind::Files
        | NameKind::Topics
        | NameKind::Shells
        | NameKind::Builders
        | NameKind::Engines => None,
    }
}
