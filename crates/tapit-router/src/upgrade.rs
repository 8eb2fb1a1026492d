//! After a switch of protocols: bytes pass both ways until both ends have closed.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use crate::backend::Lease;
use crate::client::Client;

/// The two sides of a connection that is about to be joined.
pub(crate) struct Sides {
    pub(crate) client: OnUpgrade,
    pub(crate) backend: OnUpgrade,
}

/// Joins the two sides in a task of its own. The lease counts it in flight until its end; the client's connection keeps
/// its place among the connections of the router, and is closed with them.
pub(crate) fn join(sides: Sides, lease: Lease, client: Arc<Client>) {
    tokio::spawn(async move {
        let mut pass = client.pass().clone();
        tokio::select! {
            () = pass.expired() => {}
            ended = relay(sides) => {
                if let Err(error) = ended {
                    tracing::debug!(backend = lease.backend().id(), %error, "an upgraded connection broke");
                }
            }
        }
        drop(lease);
    });
}

async fn relay(sides: Sides) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (client, backend) = tokio::try_join!(sides.client, sides.backend)?;
    copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(backend)).await?;
    Ok(())
}
