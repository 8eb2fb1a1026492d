//! A start that finds a spare in its place: compares the orders, gives the word, or clears the place for an ordinary start.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tapit_model::{Formation, ProcessKey, describe};
use tapit_plan::host::StartOrder;

use super::{Place, Spare, Spares, Stage, remove};
use crate::engine::shared::Shared;
use crate::engine::{order, start};
use crate::instance::{Running, Stored, Waiting};

/// A spare that was taken for the start of its serial.
pub struct Claimed {
    place: Place,
    spare: Spare,
}

/// What came of a claimed spare.
#[expect(clippy::large_enum_variant, reason = "made once per start and taken apart at once")]
pub enum Went {
    Running(Running),
    /// It did not fit, or could not be started. Nothing of it is left, so an ordinary start may follow.
    Nothing,
    /// It may have run, so nothing else may run under its name. The text is a sentence for the user.
    Failed(String),
}

impl Spares {
    pub fn claim(&self, key: &ProcessKey, serial: u64) -> Option<Claimed> {
        let place = (key.clone(), serial);
        self.pool().held.remove(&place).map(|spare| Claimed { place, spare })
    }
}

impl Claimed {
    /// The address that its container has. One that is on its way out gives its address back itself.
    pub fn ip(&self) -> Option<Ipv4Addr> {
        (!self.spare.stage.is_leaving()).then_some(self.spare.ip)
    }

    /// Gives it the word if it is what the order asks for. The instance has been entered with its address.
    pub async fn go(mut self, shared: &Arc<Shared>, start: &StartOrder, formation: &Formation) -> Went {
        let waiting = match std::mem::replace(&mut self.spare.stage, Stage::Failed) {
            Stage::Here(waiting) => Some(waiting),
            Stage::Coming(coming) => coming.await.ok().map(Box::new),
            Stage::Failed => None,
            leaving @ Stage::Leaving(_) => {
                self.spare.stage = leaving;
                None
            }
        };
        if let Some(waiting) = waiting {
            match self.begin(shared, start, (waiting, formation)).await {
                Ok(Some(running)) => return Went::Running(running),
                Ok(None) => {}
                Err(text) => return Went::Failed(text),
            }
        }
        self.clear(shared).await;
        Went::Nothing
    }

    /// `None`: it was not given the word, or ended without having run. The error: nobody can tell.
    async fn begin(
        &self,
        shared: &Arc<Shared>,
        start: &StartOrder,
        (waiting, formation): (Box<Waiting>, &Formation),
    ) -> Result<Option<Running>, String> {
        let key = &self.place.0;
        // Whatever goes wrong before the word goes wrong again in the ordinary start, which tells of it.
        let Ok(image) = shared.images.load(&formation.image.digest).await else { return Ok(None) };
        let parts = order::Parts { start, formation, image: &image, ip: self.spare.ip };
        let Ok(order) = order::order(shared, key, &parts) else { return Ok(None) };
        if !waiting.fits(&order) || start::intend(shared, key, start).await.is_err() {
            return Ok(None);
        }
        let error = match waiting.go(&order).await {
            Ok(running) => {
                tracing::debug!(instance = %start.id, "started from a spare");
                return Ok(Some(running));
            }
            Err(error) => error,
        };
        let dir = shared.instance_dir(key, start.serial);
        let look = move || dir.release().is_ok() && dir.record() == Stored::Missing;
        match tokio::task::spawn_blocking(look).await {
            Ok(true) => Ok(None),
            Ok(false) | Err(_) => Err(describe(&error)),
        }
    }

    /// Removes what there is of it. The address stays with the instance that was entered with it.
    pub async fn clear(self, shared: &Arc<Shared>) {
        let gone = match self.spare.stage {
            Stage::Leaving(gone) => gone,
            Stage::Coming(_) | Stage::Here(_) | Stage::Failed => remove(shared, &self.place, None),
        };
        // The other end is only ever dropped.
        let _ = gone.await;
    }

    /// Puts it back, on its way out: its start is not wanted any more, and no instance has its address.
    pub fn put_back(mut self, shared: &Arc<Shared>) {
        if !self.spare.stage.is_leaving() {
            self.spare.stage = Stage::Leaving(remove(shared, &self.place, Some(self.spare.ip)));
        }
        shared.spares.pool().held.insert(self.place, self.spare);
    }
}
