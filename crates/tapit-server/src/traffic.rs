//! The router as engines and the API see it.

use tapit_engine::Traffic;
use tapit_model::{AppName, InstanceKey, RequestCounts};
use tapit_router::RouterHandle;

/// Tells the engine about the traffic to its instances.
pub struct RouterTraffic {
    router: RouterHandle,
}

impl RouterTraffic {
    pub fn new(router: RouterHandle) -> Self {
        Self { router }
    }
}

impl Traffic for RouterTraffic {
    fn withdraw(&self, instance: &InstanceKey) {
        self.router.withdraw(&instance.to_string());
    }

    fn is_routed(&self, instance: &InstanceKey) -> bool {
        self.router.is_routed(&instance.to_string())
    }

    fn in_flight(&self, instance: &InstanceKey) -> u32 {
        self.router.in_flight(&instance.to_string())
    }
}

/// The cumulative counts of an app's route.
pub fn counts(router: &RouterHandle, app: &AppName) -> RequestCounts {
    let counts = router.counts(app.as_str());
    RequestCounts { sent: counts.sent, ok: counts.ok, failed: counts.failed, retried: counts.retried }
}
