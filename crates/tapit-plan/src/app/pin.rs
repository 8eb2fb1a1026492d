//! Pinning: a generation whose image was named gets the digest that the name was resolved to.

use tapit_model::{Change, Event, EventKind, Generation, ImageSource, PinnedImage, Timestamp, World};

use super::types::Prepare;

/// Called by the server when a `Prepare` of `plan_app` succeeded. Nothing changes when the generation is gone, was
/// pinned already or names another image by now. Each generation is pinned by its own `Prepare`.
pub fn pin(world: &World, prepare: &Prepare, image: PinnedImage, now: Timestamp) -> (Vec<Change>, Vec<Event>) {
    let Some(generation) = world.generations.get(&(prepare.key.clone(), prepare.generation)) else {
        return (Vec::new(), Vec::new());
    };
    if generation.template.image != ImageSource::Named(prepare.image.clone()) {
        return (Vec::new(), Vec::new());
    }
    let event = Event {
        at: now,
        app: prepare.key.app.clone(),
        process: Some(prepare.key.process.clone()),
        instance: None,
        kind: EventKind::ImagePinned,
        text: format!("generation {} runs {} as {}", generation.number, prepare.image, image.digest.short()),
    };
    let mut template = generation.template.clone();
    // The reference stays as it was named: a later request is compared with it.
    template.image = ImageSource::Pinned(PinnedImage { reference: prepare.image.clone(), ..image });
    let generation = Generation { template, ..generation.clone() };
    (vec![Change::PutGeneration(generation)], vec![event])
}
