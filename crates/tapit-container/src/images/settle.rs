//! Sees to it that unpacked layers outlast a crash: first all of a layer is on disk, then its record, which makes it count.
//!
//! One wait for the disk serves all layers of an image, and those of other images that were unpacked until then: sooner
//! would also write blobs to disk that are needed for a moment only. Images are entered in the books after it, so none of
//! them has a layer that a crash undoes.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use tapit_engine::ImageFault;
use tempfile::NamedTempFile;

use super::disk::{self, Layout};
use super::error::Fault;
use super::layers::{LayerId, Layers, Link, Record, layer_path, record_path, split_path};

impl Layers {
    /// Waits until these layers, which must have been unpacked, would be found again after a crash.
    pub async fn settle(&self, links: &[Link]) -> Result<(), Fault> {
        // One at a time: a failed write is reported to one waiter only, who must then distrust all that was not settled.
        let turn = self.settling.lock().await;
        let fresh = self.fresh(links);
        if !fresh.is_empty() {
            let (layout, root, staging) = (self.layout.clone(), turn.clone(), fresh.clone());
            let staged = tokio::task::spawn_blocking(move || stage(&layout, &root, &staging)).await;
            let staged = staged.map_err(io::Error::other).flatten();
            let done = match staged {
                Ok(staged) => self.publish(staged).await,
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                self.distrust(fresh).await;
                return Err(Fault::host("write the layers to disk", &error));
            }
            let mut state = self.state();
            state.unsettled.retain(|id| !fresh.iter().any(|(settled, _)| settled == id));
        }
        match links.iter().find(|link| !self.is_done(link)) {
            Some(link) => Err(Fault::new(ImageFault::Host, format!("its layer {} is gone", link.diff_id.short()))),
            None => Ok(()),
        }
    }

    /// Everything that is not settled, if any of these layers is among it.
    fn fresh(&self, links: &[Link]) -> Vec<(LayerId, Record)> {
        let state = self.state();
        if !links.iter().any(|link| state.unsettled.contains(&link.id)) {
            return Vec::new();
        }
        let record = |id: &LayerId| Some((id.clone(), state.done.get(id)?.clone()));
        state.unsettled.iter().filter_map(record).collect()
    }

    /// Gives the records their names. A layer that was removed meanwhile gets none: it would outlive its layer.
    async fn publish(&self, staged: Vec<(LayerId, NamedTempFile)>) -> io::Result<()> {
        {
            let state = self.state();
            for (id, file) in staged {
                if state.unsettled.contains(&id) {
                    file.persist(record_path(&self.layout, &id)).map_err(|error| error.error)?;
                }
            }
        }
        let layers = self.layout.layers.clone();
        let synced = tokio::task::spawn_blocking(move || disk::sync_directory(&layers)).await;
        synced.map_err(io::Error::other).flatten()
    }

    /// Nobody knows what the disk holds of these layers.
    async fn distrust(&self, fresh: Vec<(LayerId, Record)>) {
        {
            let mut state = self.state();
            for (id, _) in &fresh {
                state.unsettled.remove(id);
                state.done.remove(id);
            }
        }
        let layout = self.layout.clone();
        let remove = move || {
            for (id, _) in &fresh {
                for path in [record_path(&layout, id), layer_path(&layout, id), split_path(&layout, id)] {
                    if let Err(error) = disk::remove(&path) {
                        tracing::warn!(path = %path.display(), %error, "a layer that may be damaged could not be removed");
                    }
                }
            }
        };
        // Its own failures are told above.
        let _ = tokio::task::spawn_blocking(remove).await;
    }
}

/// Waits for the disk, then writes the records under temporary names. `root` was open before the layers were written:
/// the kernel tells it of every write that has failed since.
fn stage(layout: &Layout, root: &File, fresh: &[(LayerId, Record)]) -> io::Result<Vec<(LayerId, NamedTempFile)>> {
    nix::unistd::syncfs(root.as_raw_fd())?;
    let record = |(id, record): &(LayerId, Record)| {
        let file = disk::stage(&layout.layers, &serde_json::to_vec(record)?)?;
        file.as_file().sync_all()?;
        Ok((id.clone(), file))
    };
    fresh.iter().map(record).collect()
}
