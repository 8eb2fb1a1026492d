//! What the functions of the suite share: a counter of revisions, and waiting with everything checked meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};

use tapit_model::{
    AppName, Formation, InstanceKey, InstanceKind, InstanceObserved, InstanceState, Lifecycle, Presence, ProcessKey,
    ProcessName, ProcessObserved, ProcessTarget, Revision,
};

use super::{Behaviour, Nature, Subject};
use crate::{Applied, Traffic};

pub(super) struct Stage<'a> {
    pub subject: &'a dyn Subject,
    revision: AtomicU64,
}

pub(super) fn key(process: &str) -> ProcessKey {
    let app = AppName::parse("shop").expect("a legal name");
    ProcessKey::new(&app, &ProcessName::parse(process).expect("a legal name"))
}

impl<'a> Stage<'a> {
    /// Adopts an empty world.
    pub async fn open(subject: &'a dyn Subject) -> Self {
        subject.engine().adopt(Vec::new()).await.expect("adopts nothing");
        Self { subject, revision: AtomicU64::new(0) }
    }

    pub fn nature(&self) -> Nature {
        self.subject.nature()
    }

    pub fn formation(&self, behaviour: Behaviour) -> Formation {
        self.subject.formation(behaviour)
    }

    pub fn counts(&self, demand: u32, spot: u32) -> Formation {
        Formation { demand, spot, ..self.formation(Behaviour::Serves) }
    }

    pub fn target(&self, key: &ProcessKey, formation: Formation) -> ProcessTarget {
        let revision = Revision(self.revision.fetch_add(1, Ordering::Relaxed) + 1);
        let formation = Formation { public: key.process.is_public(), ..formation };
        ProcessTarget { key: key.clone(), revision, presence: Presence::Present(Box::new(formation)) }
    }

    pub async fn apply(&self, key: &ProcessKey, formation: Formation) {
        self.order(self.target(key, formation)).await;
    }

    pub async fn delete(&self, key: &ProcessKey) {
        let revision = Revision(self.revision.fetch_add(1, Ordering::Relaxed) + 1);
        self.order(ProcessTarget { key: key.clone(), revision, presence: Presence::Absent(Lifecycle::default()) })
            .await;
    }

    async fn order(&self, target: ProcessTarget) {
        let applied = self.subject.engine().apply(target).await.expect("the engine takes orders");
        assert_eq!(applied, Applied::Accepted);
    }

    /// Looks at everything once, as a server does: routes go out, and promises that hold at any time are checked.
    pub async fn look(&self) -> Vec<ProcessObserved> {
        let (engine, routes) = (self.subject.engine(), self.subject.routes());
        let observed = engine.observe().await.expect("the engine can be looked at");
        if self.nature() == Nature::Managed {
            routes.follow(&observed);
        }
        for (process, instance) in observed.iter().flat_map(|p| p.instances.iter().map(move |i| (p, i))) {
            let id = InstanceKey { app: process.key.app.clone(), id: instance.id.clone() };
            let stopping = matches!(instance.state, InstanceState::Stopping | InstanceState::Stopped);
            assert!(!(stopping && routes.is_routed(&id)), "{id} was told to stop and is still routed");
        }
        if routes.publish(&observed) {
            engine.nudge();
        }
        observed
    }

    /// Waits until the process is as wanted.
    pub async fn until(&self, key: &ProcessKey, what: &str, wanted: impl Fn(&Seen) -> bool) -> Seen {
        let mut seen = Seen { key: key.clone(), process: None };
        for _ in 0..self.subject.patience() {
            seen.process = self.look().await.into_iter().find(|process| process.key == *key);
            if wanted(&seen) {
                return seen;
            }
            self.subject.pass().await;
        }
        panic!("{key} does not come so far: {what}; seen last: {seen:#?}");
    }

    /// Waits until so many of each kind are healthy, of this generation and no other, and nothing is under way.
    pub async fn settled(&self, key: &ProcessKey, formation: &Formation) -> Seen {
        let (generation, demand, spot) = (formation.generation, formation.demand as usize, formation.spot as usize);
        let what = format!("generation {generation} with {demand} demand and {spot} spot healthy, nothing else left");
        self.until(key, &what, |seen| {
            seen.healthy(generation, InstanceKind::Demand).len() == demand
                && seen.healthy(generation, InstanceKind::Spot).len() == spot
                && seen.left().len() == demand + spot
                && (!key.process.is_public() || self.subject.routes().routed(key) == demand + spot)
        })
        .await
    }

    /// Applies a formation and waits for it.
    pub async fn run(&self, key: &ProcessKey, formation: Formation) -> Seen {
        self.apply(key, formation.clone()).await;
        self.settled(key, &formation).await
    }
}

/// One process as it was seen; `None`: the engine does not list it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    key: ProcessKey,
    pub process: Option<ProcessObserved>,
}

impl Seen {
    pub fn key(&self) -> &ProcessKey {
        &self.key
    }

    pub fn all(&self) -> &[InstanceObserved] {
        self.process.as_ref().map_or(&[], |process| process.instances.as_slice())
    }

    /// Everything that has not stopped.
    pub fn left(&self) -> Vec<&InstanceObserved> {
        self.all().iter().filter(|instance| instance.state != InstanceState::Stopped).collect()
    }

    pub fn stopped(&self) -> impl Iterator<Item = &InstanceObserved> {
        self.all().iter().filter(|instance| instance.state == InstanceState::Stopped)
    }

    pub fn healthy(&self, generation: u64, kind: InstanceKind) -> Vec<&InstanceObserved> {
        let matching =
            |i: &&InstanceObserved| i.generation == generation && i.kind == kind && i.state == InstanceState::Healthy;
        self.all().iter().filter(matching).collect()
    }

    /// Of those that have not stopped, in their order.
    pub fn ids(&self) -> Vec<String> {
        self.left().into_iter().map(|instance| instance.id.to_string()).collect()
    }

    pub fn instance_key(&self, index: usize) -> InstanceKey {
        InstanceKey { app: self.key.app.clone(), id: self.left()[index].id.clone() }
    }

    pub fn is_blocked(&self, code: tapit_model::BlockedCode) -> bool {
        self.process.as_ref().is_some_and(|process| process.blocked.iter().any(|blocked| blocked.code == code))
    }

    pub fn find(&self, id: &tapit_model::InstanceId) -> Option<&InstanceObserved> {
        self.all().iter().find(|instance| instance.id == *id)
    }
}
