//! How far a pull is, layer by layer, for whoever looks.
//!
//! The flight that does the work writes it; `flight` hands it to its callers. Nothing is decided by it.

use tapit_model::{LayerState, LayerTransfer, Transfer};
use tokio::sync::watch;

use super::manifest::Descriptor;

pub struct Progress {
    transfer: watch::Sender<Transfer>,
}

impl Progress {
    pub fn start() -> (Self, watch::Receiver<Transfer>) {
        let (transfer, seen) = watch::channel(Transfer::default());
        (Self { transfer }, seen)
    }

    /// The registry has said what the image is.
    pub fn begin(&self, layers: &[Descriptor]) {
        let layer = |layer: &Descriptor| LayerTransfer {
            layer: layer.digest.short().to_owned(),
            state: LayerState::Waiting,
            done: 0,
            total: layer.size,
        };
        self.transfer.send_replace(Transfer { layers: layers.iter().map(layer).collect() });
    }

    /// Bytes of a layer that have come in. Fewer than before if it had to be begun anew.
    pub fn fetched(&self, number: usize, bytes: u64) {
        self.change(number, |layer| layer.done = bytes.min(layer.total));
    }

    /// A layer is in another state. What follows on fetching has all of its bytes.
    pub fn reached(&self, number: usize, state: LayerState) {
        self.change(number, |layer| {
            layer.state = state;
            match state {
                LayerState::Waiting | LayerState::Fetching | LayerState::Pushing => {}
                LayerState::Unpacking | LayerState::Done | LayerState::Held => layer.done = layer.total,
            }
        });
    }

    /// Nothing of it had to be fetched.
    pub fn all_held(&self) {
        let count = self.transfer.borrow().layers.len();
        (0..count).for_each(|number| self.reached(number, LayerState::Held));
    }

    fn change(&self, number: usize, change: impl FnOnce(&mut LayerTransfer)) {
        self.transfer.send_if_modified(|transfer| {
            let Some(layer) = transfer.layers.get_mut(number) else { return false };
            let before = layer.clone();
            change(layer);
            *layer != before
        });
    }
}
