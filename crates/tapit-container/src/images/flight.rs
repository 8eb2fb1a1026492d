//! Work that several callers want at once is done once.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tapit_engine::ImageFault;
use tapit_model::ImageRef;
use tokio::sync::{OwnedMutexGuard, watch};

use super::Prepared;
use super::error::Fault;

type Outcome = Result<Prepared, Fault>;
type Underway = Arc<Mutex<HashMap<ImageRef, watch::Receiver<Option<Outcome>>>>>;

/// Preparations underway, by reference.
#[derive(Default)]
pub struct Flights {
    underway: Underway,
}

impl Flights {
    /// Joins the preparation of an image, or starts it as a task of its own, which goes on when callers go away.
    pub async fn join<F>(&self, image: &ImageRef, work: impl FnOnce(ImageRef) -> F) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut outcome = self.board(image, work);
        let lost = || Fault::new(ImageFault::Host, "its preparation was broken off");
        let done = outcome.wait_for(Option::is_some).await.map_err(|_| lost())?;
        done.clone().unwrap_or_else(|| Err(lost()))
    }

    fn board<F>(&self, image: &ImageRef, work: impl FnOnce(ImageRef) -> F) -> watch::Receiver<Option<Outcome>>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut underway = self.underway.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = underway.get(image) {
            return outcome.clone();
        }
        let (sender, outcome) = watch::channel(None);
        underway.insert(image.clone(), outcome.clone());
        let landing = Landing { underway: self.underway.clone(), image: image.clone() };
        let work = work(image.clone());
        tokio::spawn(async move {
            let done = work.await;
            // Whoever comes from now on starts anew.
            drop(landing);
            let _ = sender.send(Some(done));
        });
        outcome
    }
}

/// Takes a preparation off the list, also when it panics.
struct Landing {
    underway: Underway,
    image: ImageRef,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.underway.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.image);
    }
}

/// A lock per key; keys that nobody holds take no memory.
pub struct Locks<K> {
    held: Mutex<HashMap<K, Weak<tokio::sync::Mutex<()>>>>,
}

impl<K> Default for Locks<K> {
    fn default() -> Self {
        Self { held: Mutex::new(HashMap::new()) }
    }
}

impl<K: Eq + Hash + Clone> Locks<K> {
    pub async fn lock(&self, key: &K) -> OwnedMutexGuard<()> {
        let lock = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.retain(|_, lock| lock.strong_count() > 0);
            match held.get(key).and_then(Weak::upgrade) {
                Some(lock) => lock,
                None => {
                    let lock = Arc::new(tokio::sync::Mutex::new(()));
                    held.insert(key.clone(), Arc::downgrade(&lock));
                    lock
                }
            }
        };
        lock.lock_owned().await
    }
}
