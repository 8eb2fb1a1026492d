//! What must hold of demand instances that stand in for spot ones, told independently of how the planner keeps it.

use tapit_model::{AppName, Change, InstanceKind, ProcessKey, ProcessObserved, RolloutState};

use super::Sim;
use super::machine::Machine;

/// So long may one more stand in than is missing; what is back must prove itself.
const TRIAL_MILLIS: u64 = 30_000;

pub(super) fn healthy_spot(machine: &Machine, key: &ProcessKey) -> u32 {
    let records = machine.records.get(key).into_iter().flatten().map(|(_, record)| &record.facts);
    let healthy = records.filter(|facts| facts.kind == InstanceKind::Spot && facts.is_healthy()).count();
    u32::try_from(healthy).unwrap_or(u32::MAX)
}

impl Sim {
    /// Of what the planner decides by itself: stand-ins come only for spot instances that are missing, only where they are
    /// wanted, and without touching what was asked for.
    pub(super) fn stand_ins_hold(&mut self, changes: &[Change]) -> Result<(), String> {
        for change in changes {
            let Change::PutProcess(new) = change else { continue };
            let Some(old) = self.store.processes.get(&new.key) else { continue };
            let (before, now) = (old.fallback.stand_ins, new.fallback.stand_ins);
            let missing = new.spec.wanted(InstanceKind::Spot).saturating_sub(healthy_spot(&self.machine, &new.key));
            if old.spec != new.spec || old.asked_revision().0 + u64::from(new.rolled_back) < new.asked_revision().0 {
                return Err(format!("{}: the planner asks for something", new.key));
            }
            if before != now && old.revision >= new.revision {
                return Err(format!("{}: another count with the same revision", new.key));
            }
            if now > before {
                self.seen.stood_in += 1;
                if now > missing || new.spec.spot_fallback.is_none() || new.spec.disabled {
                    return Err(format!("{}: {now} are to stand in for {missing} that are missing", new.key));
                }
            }
            self.seen.paid_back += u64::from(now < before);
        }
        Ok(())
    }

    /// Once nothing more is planned: never more than were ever missing at once, and no longer than the trial more than are.
    pub(super) fn stand_ins_are_paid_back(&mut self, app: &AppName, seen: &[ProcessObserved]) -> Result<(), String> {
        for process in self.store.processes_of(app).filter(|process| !process.deleting) {
            let key = &process.key;
            let (stand_ins, spot) = (process.fallback.stand_ins, process.spec.wanted(InstanceKind::Spot));
            if stand_ins > spot || (stand_ins > 0 && process.spec.spot_fallback.is_none()) {
                return Err(format!("{key}: {stand_ins} stand in for {spot} spot instances"));
            }
            let missing = spot.saturating_sub(healthy_spot(&self.machine, key));
            let rollout = self.store.rollouts.get(key);
            let is_rolling = rollout.is_some_and(|rollout| rollout.state == RolloutState::Running);
            let is_held = seen.iter().any(|seen| seen.key == *key && seen.revision >= process.revision);
            if stand_ins <= missing {
                self.too_many.remove(key);
            }
            if stand_ins <= missing || is_rolling || !is_held {
                continue;
            }
            let (count, since) = *self.too_many.get(key).unwrap_or(&(stand_ins, self.elapsed));
            let since = if count == stand_ins { since } else { self.elapsed };
            if self.elapsed - since > TRIAL_MILLIS {
                return Err(format!("{key}: {stand_ins} have stood in for {missing} since {since}"));
            }
            self.too_many.insert(key.clone(), (stand_ins, since));
        }
        Ok(())
    }
}
