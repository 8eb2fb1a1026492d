//! Shares the memory of the host out among the drafts of its processes.
//!
//! Demand comes first: one wish of each process in turn, in the order of their keys, so that a process that asks for a
//! thousand does not shut out those after it. Then memory is kept for the demand instances that wait, in back-off or for
//! room: the crash loop of a process must not make spot instances come and go. Those that only stand in for spot instances
//! come after that, or they would take what others were promised, and drive away the spot instances whose return sent
//! them away. What is left goes to spot instances, and nothing while the host itself is short of memory.

use tapit_model::InstanceKind;

use super::draft::{Draft, Want, Wish};
use super::ledger::{Claim, Ledger};
use super::rollout::KindView;
use super::words::Shortage;
use super::{HostInputs, HostMemory, InstanceFacts};

pub(super) fn share(inputs: &HostInputs, drafts: &mut [Draft<'_>]) {
    let mut ledger = Ledger::open(inputs.capacity, drafts);
    let spot_lacks = match inputs.host {
        HostMemory::Ample => Shortage::Lacking,
        HostMemory::Tight | HostMemory::Short(_) => Shortage::Host,
    };
    ledger.relieve(inputs.host, drafts);
    let free = ledger.now;
    let (standing_in, asked) = in_turn(drafts, InstanceKind::Demand)
        .into_iter()
        .partition(|(at, wish)| drafts.get(*at).is_some_and(|draft| draft.stands_in(wish)));
    let mut waiting = serve_demand(&mut ledger, drafts, asked);
    for draft in drafts.iter() {
        let size = draft.process.formation().map_or(0, |formation| formation.size.memory.mib());
        let resting = draft.resting.iter().filter(|(kind, _)| *kind == InstanceKind::Demand);
        waiting.extend(resting.map(|_| size));
    }
    waiting.into_iter().for_each(|memory| ledger.reserve(memory));
    let waiting = serve_demand(&mut ledger, drafts, standing_in);
    waiting.into_iter().for_each(|memory| ledger.reserve(memory));
    for (at, wish) in in_turn(drafts, InstanceKind::Spot) {
        let claim = ledger.claim_spare(wish.memory);
        let Some(draft) = drafts.get_mut(at) else { continue };
        match claim {
            Claim::Now => draft.grant(wish),
            Claim::Later | Claim::Never => {
                exchange_spot(draft, wish);
                draft.refuse(wish, spot_lacks, free);
            }
        }
    }
}

/// Answers the MiB of each that waits for something other than memory that is on its way.
fn serve_demand(ledger: &mut Ledger, drafts: &mut [Draft<'_>], wishes: Vec<(usize, Wish)>) -> Vec<u64> {
    let free = ledger.now;
    let mut waiting = Vec::new();
    for (at, wish) in wishes {
        let claim = ledger.claim(wish.memory, drafts);
        let Some(draft) = drafts.get_mut(at) else { continue };
        match claim {
            Claim::Now => draft.grant(wish),
            Claim::Later => draft.refuse(wish, Shortage::Coming, free),
            Claim::Never => {
                let shortage = exchange_demand(draft, wish, ledger);
                waiting.extend((shortage == Some(Shortage::Lacking)).then_some(wish.memory));
                if let Some(shortage) = shortage {
                    draft.refuse(wish, shortage, free);
                }
            }
        }
    }
    waiting
}

/// The wishes of a kind: the first of each process, then the second of each, and so on. In each round those come first
/// that are being rolled out and have fewer than wanted: what an old instance gave up for its successor must not go to
/// a sibling that grows.
fn in_turn(drafts: &[Draft<'_>], kind: InstanceKind) -> Vec<(usize, Wish)> {
    let mut wishes = Vec::new();
    for (at, draft) in drafts.iter().enumerate() {
        let rank = usize::from(!has_gap_in_rollout(draft, kind));
        let of_kind = draft.wishes.iter().filter(|wish| wish.kind == kind);
        wishes.extend(of_kind.enumerate().map(|(round, wish)| ((round, rank, at), *wish)));
    }
    wishes.sort_by_key(|(order, _)| *order);
    wishes.into_iter().map(|((_, _, at), wish)| (at, wish)).collect()
}

fn has_gap_in_rollout(draft: &Draft<'_>, kind: InstanceKind) -> bool {
    draft.view(kind).is_some_and(|view| {
        let live = view.live(&draft.drains);
        live.len() < view.wanted() && live.iter().any(|(_, i)| !view.is_new(i))
    })
}

/// Stop-first: without room for a surge, an old instance makes room for a new one, one at a time. Only when all others
/// serve, at least one of them stays, and the memory that can be had this way suffices in the end: an instance is not
/// given up for one that will never fit.
///
/// Answers what the wish lacks; `None` while an exchange is under way and the count is full, for then nothing is missing.
fn exchange_demand(draft: &mut Draft<'_>, wish: Wish, ledger: &mut Ledger) -> Option<Shortage> {
    let Some(view) = draft.view(InstanceKind::Demand).filter(|_| is_start(wish)) else {
        return Some(Shortage::Lacking);
    };
    let live = view.live(&draft.drains);
    let mut old: Vec<_> = live.iter().filter(|(_, i)| !view.is_new(i)).collect();
    old.sort_by_key(|(_, i)| i.serial);
    let can_go = if view.wanted() > 1 { live.len().saturating_sub(1) } else { 0 };
    let to_gain = old.iter().take(can_go).fold(0u64, |sum, (_, i)| sum.saturating_add(i.size.memory.mib()));
    let leaves = old.first().filter(|_| can_go > 0 && wish.memory <= ledger.reach().saturating_add(to_gain));
    if is_in_motion(draft, &view) || !live.iter().all(|(_, i)| i.serves(view.formation)) {
        let started = draft.starts.iter().filter(|start| start.kind == wish.kind).count() + draft.coming(wish.kind);
        if live.len() + started >= view.wanted() {
            return None;
        }
        if leaves.is_none() {
            return Some(Shortage::Lacking);
        }
        // What the exchange has brought so far is kept until there is enough.
        ledger.set_aside(wish.memory);
        return Some(Shortage::Coming);
    }
    let Some((index, instance)) = leaves else { return Some(Shortage::Lacking) };
    draft.drains.add(*index, view.why_old_goes(instance));
    ledger.gain(instance.size.memory.mib());
    ledger.set_aside(wish.memory);
    Some(Shortage::Coming)
}

/// A spot instance may be missing at any time, so the last old one goes as well: better none than one that keeps a
/// rollout from ending.
fn exchange_spot(draft: &mut Draft<'_>, wish: Wish) {
    let Some(view) = draft.view(InstanceKind::Spot) else { return };
    if !is_start(wish) || is_in_motion(draft, &view) {
        return;
    }
    let live = view.live(&draft.drains);
    if let Some((index, instance)) = live.iter().filter(|(_, i)| !view.is_new(i)).min_by_key(|(_, i)| i.serial) {
        draft.drains.add(*index, view.why_old_goes(instance));
    }
}

fn is_start(wish: Wish) -> bool {
    match wish.what {
        Want::Start { .. } => true,
        Want::Grow { .. } => false,
    }
}

/// Something of this kind starts or ends already.
fn is_in_motion(draft: &Draft<'_>, view: &KindView<'_>) -> bool {
    let of_kind = view.instances.iter().enumerate().filter(|(_, i)| i.kind == view.kind);
    let moves = |(index, i): (usize, &InstanceFacts)| i.is_starting() || i.is_ending() || draft.drains.has(index);
    of_kind.into_iter().any(moves) || draft.starts.iter().any(|start| start.kind == view.kind)
}
