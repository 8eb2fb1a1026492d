//! The engine's tasks (launches, watchers, health checks), so that they end with it: a task of a closed engine must not
//! touch what a later one has taken over.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;

/// `None` once it is closed: nothing is spawned any more.
pub struct Tasks(Mutex<Option<JoinSet<()>>>);

impl Default for Tasks {
    fn default() -> Self {
        Self(Mutex::new(Some(JoinSet::new())))
    }
}

impl Tasks {
    fn set(&self) -> MutexGuard<'_, Option<JoinSet<()>>> {
        // A panic while it was held has spawned its task or has not.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(set) = &mut *self.set() {
            // Those that have ended are let go of, so that the set is never longer than what runs.
            while set.try_join_next().is_some() {}
            set.spawn(task);
        }
    }

    /// Cuts all of them short and waits until they are gone.
    pub async fn close(&self) {
        let set = self.set().take();
        if let Some(mut set) = set {
            set.shutdown().await;
        }
    }
}
