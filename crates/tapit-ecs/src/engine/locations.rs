//! Where ECS finds the images of an app. To find out may mean to send an image, which takes minutes, so each is found out
//! by a task of its own, and whoever plans goes on without.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tapit_engine::EngineError;
use tapit_model::{AppName, Blocked, BlockedCode, Moment, PinnedImage};
use tokio::task::JoinSet;

use super::pace::{back_off, millis};
use super::shared::{Call, Shared};

/// An image that is found within this time was hardly waited for.
const SOON_MS: u64 = 1000;

#[derive(Default)]
pub struct Locations {
    places: Arc<Mutex<BTreeMap<String, Place>>>,
    /// Ended with the app's task.
    tasks: JoinSet<()>,
}

#[derive(Debug, Clone)]
enum Place {
    Asked { since: Moment, failures: u32 },
    Known(String),
    Failed { text: String, until: Moment, failures: u32 },
}

fn name(image: &PinnedImage) -> String {
    format!("{} {}", image.reference, image.digest)
}

impl Locations {
    /// The place, if it is known; otherwise it is asked for, and the app's task is woken once it is.
    pub fn get(&mut self, shared: &Arc<Shared>, app: &AppName, image: &PinnedImage) -> Option<String> {
        let now = shared.clock.moment();
        let failures = match self.lock().get(&name(image)) {
            Some(Place::Known(location)) => return Some(location.clone()),
            Some(Place::Asked { .. }) => return None,
            Some(Place::Failed { until, .. }) if now < *until => return None,
            Some(Place::Failed { failures, .. }) => *failures,
            None => 0,
        };
        self.lock().insert(name(image), Place::Asked { since: now, failures });
        while self.tasks.try_join_next().is_some() {}
        let places = Arc::clone(&self.places);
        let (shared, app, image) = (Arc::clone(shared), app.clone(), image.clone());
        self.tasks.spawn(async move {
            let found = shared.images.location(&image, &app).await;
            let place = judge(found, (shared.clock.moment(), failures.saturating_add(1)));
            places.lock().unwrap_or_else(PoisonError::into_inner).insert(name(&image), place);
            shared.call(&app, Call::Arrived);
        });
        None
    }

    /// Why an image's place is not known.
    pub fn blocked(&self, image: &PinnedImage, now: Moment) -> Option<Blocked> {
        let (code, text) = match self.lock().get(&name(image))? {
            Place::Known(_) => return None,
            Place::Asked { since, failures: 0 } if now.since(*since) < SOON_MS => return None,
            Place::Asked { .. } => {
                let text = format!("{} is being sent to the account's registry", image.reference);
                (BlockedCode::Pulling, text)
            }
            Place::Failed { text, .. } => (BlockedCode::ImageUnavailable, text.clone()),
        };
        Some(Blocked { code, text, demand: 0, spot: 0 })
    }

    /// When the first that failed is to be tried again, or the first that is asked for is to be told of.
    pub fn until(&self, now: Moment) -> Option<Moment> {
        let places = self.lock();
        let due = places.values().filter_map(|place| match place {
            Place::Known(_) => None,
            Place::Asked { since, .. } => Some(since.plus_millis(SOON_MS)).filter(|due| *due > now),
            Place::Failed { until, .. } => Some(*until),
        });
        due.min()
    }

    /// Forgets failures: something has changed that may help.
    pub fn try_again(&self) {
        self.lock().retain(|_, place| !matches!(place, Place::Failed { .. }));
    }

    /// Forgets images that no process wants.
    pub fn keep(&self, wanted: &[&PinnedImage]) {
        let wanted: Vec<String> = wanted.iter().map(|image| name(image)).collect();
        self.lock().retain(|name, place| wanted.contains(name) || matches!(place, Place::Asked { .. }));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn judge(found: Result<String, EngineError>, (now, failures): (Moment, u32)) -> Place {
    match found {
        Ok(location) => Place::Known(location),
        Err(error) => {
            let text = tapit_model::describe(&error);
            Place::Failed { text, until: now.plus_millis(millis(back_off(failures))), failures }
        }
    }
}
