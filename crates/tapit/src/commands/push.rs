//! Sends an image that the server holds to a registry.

use tapit_model::{AppView, ImageRef, ImageView, Refusal};

use super::session::{Session, json};
use super::{Stop, transfer};
use crate::client::query;
use crate::invocation::Format;

pub async fn push(session: &mut Session<'_, '_>, name: Option<ImageRef>, to: Option<ImageRef>) -> Result<(), Stop> {
    let name = match name {
        Some(name) => name,
        None => of_the_app(session).await?,
    };
    let to = to.unwrap_or_else(|| name.clone());
    let mut pairs = vec![("ref", name.to_string())];
    if session.common.dry_run {
        let image: ImageView = session.client.get(&format!("/v1/image{}", query(&pairs))).await?;
        let text = format!("{} would be pushed to {} as {to}\ndry run: nothing was changed", image.name, to.registry());
        session.screen.say(&text);
        return Ok(());
    }
    pairs.push(("to", to.to_string()));
    let image = transfer::follow(session, &format!("/v1/images/push{}", query(&pairs))).await?;
    session.screen.say(&format!("pushed {name} as {}", image.name));
    match session.format() {
        // It has been said, and a table would have nothing to add but a name too long for it.
        Format::Table => Ok(()),
        Format::Json => Ok(session.screen.print(&json(&image)?)?),
    }
}

async fn of_the_app(session: &Session<'_, '_>) -> Result<ImageRef, Stop> {
    let app = session.app().await?;
    let view: AppView = session.client.get(&format!("/v1/apps/{app}")).await?;
    let image = view.image.as_deref().and_then(|image| ImageRef::parse(image).ok());
    let none = || Refusal::usage(format!("the app {app} has no image; say which to push: `tapit push image NAME:TAG`"));
    Ok(image.ok_or_else(none)?)
}
