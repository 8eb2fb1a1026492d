//! Keeps the images within the disk that they may take: after each one that comes, and every hour for those that are not
//! used any more.
//!
//! Which ones go is decided in `tapit_plan::images`, and nothing in use ever does. What else fills the disk is not looked at.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tapit_engine::{AskInUse, Freed, InUse};
use tapit_model::{ImageRef, PruneExtent, describe};
use tapit_plan::app::ImageProgress;
use tokio::sync::watch;

use crate::hub::Hub;
use crate::view;

const PERIOD: Duration = Duration::from_secs(3600);

/// Looks at once and every hour, until the server ends.
pub async fn run(hub: Arc<Hub>, mut closing: watch::Receiver<bool>) {
    loop {
        trim(&hub, &[]).await;
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            _ = closing.wait_for(|closing| *closing) => return,
        }
    }
}

/// Removes unused images until the rest fits. `spared` have just come: whoever brought them has yet to use them.
pub async fn trim(hub: &Arc<Hub>, spared: &[ImageRef]) {
    let Some(budget) = hub.facts.images_disk else { return };
    let in_use = in_use(hub, spared.iter().cloned().collect());
    let freed = match hub.engine.images().prune(PruneExtent::Budget(budget), &in_use).await {
        Ok(freed) => freed,
        Err(error) => {
            tracing::error!("keeping the images within their disk: {}", describe(&error));
            return;
        }
    };
    report(&freed, budget);
    let before = hub.note_images_over(freed.over);
    if freed.over > 0 && before == 0 {
        tracing::warn!("{}", over(freed.over, budget));
    }
}

fn report(freed: &Freed, budget: u64) {
    if !freed.images.is_empty() {
        let (gone, bytes) = (freed.images.join(", "), amount(freed.bytes));
        tracing::info!(
            freed = freed.bytes,
            "removed unused images to stay within {}: {gone}; freed {bytes}",
            amount(budget)
        );
    }
}

/// Why there is more than there should be.
pub fn over(bytes: u64, budget: u64) -> String {
    format!(
        "the images take {} more than the {} of --images-disk, and every one of them is in use, is on its way or was imported \
         by hand; delete what is not needed, or give them more",
        amount(bytes),
        amount(budget)
    )
}

/// Asks what is in use, at the moment of being asked.
pub fn in_use(hub: &Arc<Hub>, spared: BTreeSet<ImageRef>) -> AskInUse {
    let hub = Arc::clone(hub);
    Arc::new(move || in_use_now(&hub, spared.clone()))
}

fn in_use_now(hub: &Hub, spared: BTreeSet<ImageRef>) -> InUse {
    let mut preparing = spared;
    // Asked for before the ledger is: an image is pinned there first, and leaves these then.
    preparing.extend(hub.images().iter().filter(|(_, progress)| underway(progress)).map(|(name, _)| name.clone()));
    hub.ledger.read(|world| view::in_use(world, preparing))
}

fn underway(progress: &ImageProgress) -> bool {
    match progress {
        ImageProgress::Asked | ImageProgress::Preparing => true,
        ImageProgress::Failed { .. } => false,
    }
}

/// Bytes for people.
pub fn amount(bytes: u64) -> String {
    let value = bytes as f64;
    if value < 999.5e3 {
        format!("{:.0} kB", value / 1e3)
    } else if value < 999.5e6 {
        format!("{:.1} MB", value / 1e6)
    } else {
        format!("{:.1} GB", value / 1e9)
    }
}
