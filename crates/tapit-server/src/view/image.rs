//! Images: what uses each one, and which must stay.

use std::collections::BTreeSet;

use tapit_engine::InUse;
use tapit_model::{AppName, Digest, Generation, ImageRef, ImageSource, ImageView, Process, ProcessKey, World};

/// An image as the engine tells of it, with what uses it: processes of which a generation that runs, is to run or would
/// be gone back to has it, and apps that name it for processes to come.
pub fn image_view(world: &World, held: ImageView) -> ImageView {
    let processes: BTreeSet<&ProcessKey> =
        generations(world).filter(|generation| has(generation, &held)).map(|row| &row.key).collect();
    let apps: BTreeSet<&AppName> = processes.iter().map(|key| &key.app).collect();
    let named = world.apps.values().filter(|app| app.image.as_ref().is_some_and(|image| is(image, &held)));
    let named = named.filter(|app| !apps.contains(&app.name)).map(|app| app.name.to_string());
    let used_by = processes.iter().map(ToString::to_string).chain(named).collect();
    ImageView { used_by, ..held }
}

/// Those that something may still be made of: no task that has ended runs again.
fn generations(world: &World) -> impl Iterator<Item = &Generation> {
    world.generations.values().filter(move |row| !world.processes.get(&row.key).is_some_and(Process::has_ended))
}

fn has(generation: &Generation, held: &ImageView) -> bool {
    match &generation.template.image {
        ImageSource::Pinned(image) => image.digest.as_str() == held.digest,
        ImageSource::Named(name) => is(name, held),
        ImageSource::Unknown => false,
    }
}

fn is(name: &ImageRef, held: &ImageView) -> bool {
    name.to_string() == held.name
}

/// Whether this very name is wanted, and not only what it stands for.
pub fn is_named(world: &World, name: &ImageRef) -> bool {
    let by_generation = generations(world).any(|generation| match &generation.template.image {
        ImageSource::Pinned(image) => image.reference == *name,
        ImageSource::Named(named) => named == name,
        ImageSource::Unknown => false,
    });
    by_generation || world.apps.values().any(|app| app.image.as_ref() == Some(name))
}

/// The images that must stay for the sake of what is wanted. `preparing` are the names of those that are being made ready;
/// they are asked for before the world is, because an image is pinned first and leaves them then.
pub fn in_use(world: &World, preparing: BTreeSet<ImageRef>) -> InUse {
    let mut names = preparing;
    names.extend(world.apps.values().filter_map(|app| app.image.clone()));
    let mut digests: BTreeSet<Digest> = BTreeSet::new();
    for generation in generations(world) {
        match &generation.template.image {
            ImageSource::Pinned(image) => drop(digests.insert(image.digest.clone())),
            ImageSource::Named(name) => drop(names.insert(name.clone())),
            ImageSource::Unknown => {}
        }
    }
    InUse { digests, names }
}
