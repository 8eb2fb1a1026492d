//! How far a pull or a push is, layer by layer, for whoever looks.
//!
//! Who does the work writes it; `flight` hands that of a pull to its callers. Nothing is decided by it.

use tapit_engine::TransferWatch;
use tapit_model::{Digest, LayerState, LayerTransfer, Transfer};
use tokio::sync::watch;

#[derive(Clone)]
pub struct Progress {
    transfer: TransferWatch,
}

impl Progress {
    pub fn start() -> (Self, watch::Receiver<Transfer>) {
        let (transfer, seen) = watch::channel(Transfer::default());
        (Self { transfer }, seen)
    }

    pub fn over(transfer: &TransferWatch) -> Self {
        Self { transfer: transfer.clone() }
    }

    /// The layers are known, and how many bytes each of them has; 0 while that is not known.
    pub fn begin<'a>(&self, layers: impl IntoIterator<Item = (&'a Digest, u64)>) {
        let layer = |(digest, total): (&Digest, u64)| LayerTransfer {
            layer: digest.short().to_owned(),
            state: LayerState::Waiting,
            done: 0,
            total,
        };
        self.transfer.send_replace(Transfer { layers: layers.into_iter().map(layer).collect() });
    }

    /// Bytes of a layer that have gone out, of so many.
    pub fn sent(&self, number: usize, (done, total): (u64, u64)) {
        self.change(number, |layer| (layer.done, layer.total) = (done, total));
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
