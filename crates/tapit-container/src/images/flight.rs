//! Work that several callers want at once is done once, and all of them see how far it is.
//!
//! A flight asks the registry for one reference; `prepare` and `pull` board the same one, and those who only ask what a
//! reference stands for have flights of their own. What a caller makes of its outcome (`prepare` may fall back on a held
//! copy, `pull` may not) is the caller's business.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tapit_engine::ImageFault;
use tapit_model::{ImageRef, Transfer};
use tokio::sync::{OwnedMutexGuard, watch};

use super::error::Fault;
use super::progress::Progress;

pub type Outcome<T> = Result<T, Fault>;

/// A seat in work that goes on by itself, also when every caller has left.
#[derive(Clone)]
pub struct Flight<T> {
    outcome: watch::Receiver<Option<Outcome<T>>>,
    transfer: watch::Receiver<Transfer>,
}

impl<T: Clone> Flight<T> {
    /// Waits for the end, and tells meanwhile how far it is. What is told last is the end's state.
    pub async fn landed(mut self, tell: impl Fn(&Transfer)) -> Outcome<T> {
        let lost = || Fault::new(ImageFault::Host, "its preparation was broken off");
        let mut is_told = true;
        let outcome = loop {
            tokio::select! {
                changed = self.transfer.changed(), if is_told => match changed {
                    Ok(()) => tell(&self.transfer.borrow_and_update()),
                    Err(_) => is_told = false,
                },
                outcome = self.outcome.wait_for(Option::is_some) => {
                    break outcome.map_err(|_| lost())?.clone().unwrap_or_else(|| Err(lost()));
                }
            }
        };
        tell(&self.transfer.borrow());
        outcome
    }
}

type Underway<T> = Arc<Mutex<HashMap<ImageRef, Flight<T>>>>;

/// Flights underway, by reference.
pub struct Flights<T> {
    underway: Underway<T>,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self { underway: Underway::default() }
    }
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// Boards the flight of an image, or starts it as a task of its own.
    pub fn board<F>(&self, image: &ImageRef, work: impl FnOnce(ImageRef, Progress) -> F) -> Flight<T>
    where
        F: Future<Output = Outcome<T>> + Send + 'static,
    {
        let mut underway = self.underway.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = underway.get(image) {
            return flight.clone();
        }
        let (sender, outcome) = watch::channel(None);
        let (progress, transfer) = Progress::start();
        let flight = Flight { outcome, transfer };
        underway.insert(image.clone(), flight.clone());
        let landing = Landing { underway: self.underway.clone(), image: image.clone() };
        let work = work(image.clone(), progress);
        tokio::spawn(async move {
            let done = work.await;
            // Whoever comes from now on starts anew.
            drop(landing);
            let _ = sender.send(Some(done));
        });
        flight
    }
}

/// Takes a flight off the list, also when it panics.
struct Landing<T> {
    underway: Underway<T>,
    image: ImageRef,
}

impl<T> Drop for Landing<T> {
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
