//! Two hundred apps of ten processes each: what they are to be, and whether they are.

use std::collections::BTreeSet;
use std::time::Duration;

use tapit_ecs::Ecs;
use tapit_ecs::sim::{Account, Quotas, Setup};
use tapit_engine::Engine;
use tapit_model::{Formation, InstanceState, ProcessKey, ProcessTarget, Revision};

use crate::paused::{Bed, formation, is_settled, key, until};

pub const MINUTE: Duration = Duration::from_secs(60);
pub const APPS: usize = 200;
pub const PROCESSES: usize = 10;
/// That a process has spot instances as well.
const SPOT_EVERY: usize = 5;

pub struct Town {
    pub bed: Bed,
    pub wanted: Vec<(ProcessKey, Formation)>,
    /// Calls that changed something while it was made.
    pub changes: usize,
}

impl Town {
    /// Planned, and nothing of it made. Somebody has asked AWS for more rules on one listener.
    pub fn planned() -> Self {
        let quotas = Quotas { rules_per_balancer: 400, target_groups_per_balancer: 400, ..Quotas::default() };
        let bed = Bed::new(Setup { quotas, ..Setup::default() });
        let all = (0..APPS).flat_map(|app| (0..PROCESSES).map(move |process| (app, process)));
        let wanted = all.map(|(app, process)| {
            let name = if process == 0 { "default".to_owned() } else { format!("p{process}") };
            let demand = if (app + process) % 2 == 0 { 2 } else { 1 };
            let spot = u32::from(process % SPOT_EVERY == SPOT_EVERY - 1);
            (key(&format!("app-{app}"), &name), formation(&name, (demand, spot)))
        });
        let wanted = wanted.collect();
        Self { bed, wanted, changes: 0 }
    }

    /// Made without regard for rates: AWS lets an account register a definition a second.
    pub async fn made() -> Self {
        let mut town = Self::planned();
        let engine = town.bed.engine_over(town.bed.account.clone()).await;
        engine.adopt(Vec::new()).await.expect("adopts nothing");
        town.order(&engine).await;
        town.settles(&engine, (&BTreeSet::new(), MINUTE)).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
        engine.close().await;
        town.bed.take_calls();
        town.changes = town.bed.account.changes().len();
        town
    }

    pub fn targets(&self) -> Vec<ProcessTarget> {
        self.wanted.iter().map(|(key, formation)| self.bed.present(key, formation)).collect()
    }

    pub async fn order(&self, engine: &Ecs) {
        for target in self.targets() {
            engine.apply(target).await.expect("is taken");
        }
    }

    /// A new server has looked at every app; tells how long that took.
    pub async fn adopted(&self, engine: &Ecs) -> Duration {
        let targets = self.targets();
        let first = targets.iter().map(|target| target.revision).min().unwrap_or(Revision(0));
        engine.adopt(targets).await.expect("adopts");
        until("every app was looked at", Duration::from_secs(1), async || {
            let all = engine.observe().await.expect("can be looked at");
            all.iter().all(|seen| seen.revision >= first)
        })
        .await
    }

    /// Every process is as wanted, and none of these instances is left; looks so often, and tells how long that took.
    pub async fn settles(&self, engine: &Ecs, (killed, step): (&BTreeSet<String>, Duration)) -> Duration {
        until("all is healthy", step, async || {
            let all = engine.observe().await.expect("can be looked at");
            let lives = |id: &str| killed.contains(id);
            let is_so = |(key, wanted): &(ProcessKey, Formation)| {
                // Both are in the order of names.
                let at = all.binary_search_by(|seen| seen.key.cmp(key)).ok();
                at.map(|at| &all[at]).is_some_and(|seen| {
                    let mut live = seen.instances.iter().filter(|one| one.state != InstanceState::Stopped);
                    is_settled(seen, wanted) && !live.any(|one| lives(one.id.as_str()))
                })
            };
            self.wanted.iter().all(is_so)
        })
        .await
    }

    /// From now on these processes are to run anew.
    pub async fn restart(&mut self, engine: &Ecs, count: usize) {
        let every = self.wanted.len() / count;
        let chosen = self.wanted.iter_mut().step_by(every + 1).take(count);
        chosen.for_each(|(_, formation)| formation.generation += 1);
        let chosen = self.wanted.iter().step_by(every + 1).take(count);
        for (key, formation) in chosen {
            engine.apply(self.bed.present(key, formation)).await.expect("is taken");
        }
    }

    /// So many tasks die at once, here and there; their ids.
    pub fn kill(&self, count: usize) -> BTreeSet<String> {
        kill(&self.bed.account, count)
    }
}

fn kill(account: &Account, count: usize) -> BTreeSet<String> {
    let running: Vec<_> = account.tasks().into_iter().filter(|task| task.exit_code.is_none()).collect();
    // A step that is prime to most counts goes round all of them without meeting one twice.
    let chosen = (0..running.len()).map(|n| n * 1_009 % running.len()).collect::<BTreeSet<_>>();
    assert!(chosen.len() >= count, "{} tasks run", running.len());
    let arns = (0..count).map(|n| running[n * 1_009 % running.len()].arn.clone());
    let killed = arns.inspect(|arn| assert!(account.kill(arn), "{arn} does not run"));
    killed.map(|arn| arn.rsplit('/').next().unwrap_or_default().to_owned()).collect()
}
