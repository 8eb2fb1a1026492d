//! The log of what instances do: two looks at a process become the events between them.
//!
//! The server calls this with every new look. The first look after its start has nothing before it and should not be
//! narrated: what was told before would be told again.

use tapit_model::{
    Blocked, BlockedCode, Event, EventKind, InstanceKind, InstanceObserved, InstanceState, ProcessKey, ReasonCode,
    Timestamp,
};

/// One event for each instance whose state or size changed. States that came and went between the looks are not known.
pub fn narrate(
    key: &ProcessKey,
    before: &[InstanceObserved],
    after: &[InstanceObserved],
    now: Timestamp,
) -> Vec<Event> {
    let mut events = Vec::new();
    for instance in after {
        let known = before.iter().find(|earlier| earlier.id == instance.id);
        if known.is_none_or(|earlier| earlier.state != instance.state)
            && let Some((kind, text)) = told(known, instance)
        {
            events.push(event(key, instance, now, (kind, text)));
        }
        if let Some(earlier) = known
            && earlier.size != instance.size
            && instance.state.is_live()
        {
            let (from, to) = (earlier.size, instance.size);
            let text = format!(
                "{} was resized from memory={} cpu={} to memory={} cpu={}",
                instance.id, from.memory, from.cpu, to.memory, to.cpu
            );
            events.push(event(key, instance, now, (EventKind::InstanceResized, text)));
        }
    }
    let vanished =
        |i: &&InstanceObserved| i.state != InstanceState::Stopped && !after.iter().any(|later| later.id == i.id);
    for instance in before.iter().filter(vanished) {
        let text = format!("{} is gone; how it ended is not known", instance.id);
        events.push(event(key, instance, now, (EventKind::InstanceStopped, text)));
    }
    events
}

/// Obstacles that came and went, by kind. A wait between two attempts is left out: the stops and starts around it say
/// the same, and a crash loop would fill the log twice as fast. So is the look-up of an image, which comes with every
/// rollout and is over in a moment where the image is held.
pub fn narrate_blocked(key: &ProcessKey, before: &[Blocked], after: &[Blocked], now: Timestamp) -> Vec<Event> {
    let told = |blocked: &&Blocked| match blocked.code {
        BlockedCode::BackOff | BlockedCode::Resolving => false,
        BlockedCode::NoImage
        | BlockedCode::Pulling
        | BlockedCode::ImageUnavailable
        | BlockedCode::Capacity
        | BlockedCode::Provider => true,
    };
    let within = |list: &[Blocked], code: BlockedCode| list.iter().any(|blocked| blocked.code == code);
    let line = |kind: EventKind, text: String| Event {
        at: now,
        app: key.app.clone(),
        process: Some(key.process.clone()),
        instance: None,
        kind,
        text,
    };
    let came = after.iter().filter(told).filter(|blocked| !within(before, blocked.code));
    let went = before.iter().filter(told).filter(|blocked| !within(after, blocked.code));
    let came = came.map(|b| line(EventKind::Blocked, format!("waits ({}): {}", b.code.as_str(), b.text)));
    let went = went.map(|b| line(EventKind::Unblocked, format!("waits no more ({})", b.code.as_str())));
    came.chain(went).collect()
}

fn event(key: &ProcessKey, instance: &InstanceObserved, at: Timestamp, (kind, text): (EventKind, String)) -> Event {
    let process = Some(key.process.clone());
    Event { at, app: key.app.clone(), process, instance: Some(instance.id.clone()), kind, text }
}

/// What the log says of an instance in its state; nothing of one that only waits to start.
fn told(before: Option<&InstanceObserved>, instance: &InstanceObserved) -> Option<(EventKind, String)> {
    let id = &instance.id;
    let why = instance.reason.as_ref().map(|reason| format!(": {}", reason.text)).unwrap_or_default();
    // The notice is told once, whichever of its steps was seen first.
    let reclaimed = before.is_none_or(|earlier| earlier.state.is_live())
        && instance.reason.as_ref().is_some_and(|reason| reason.code == ReasonCode::Reclaimed);
    let told = match instance.state {
        InstanceState::Pending => return None,
        InstanceState::Pulling => (EventKind::InstanceStarting, format!("{id} fetches its image")),
        InstanceState::Starting => (EventKind::InstanceStarting, starting(instance)),
        InstanceState::Healthy => (EventKind::InstanceHealthy, format!("{id} is healthy")),
        InstanceState::Unhealthy => (EventKind::InstanceUnhealthy, format!("{id} is unhealthy{why}")),
        InstanceState::Draining | InstanceState::Stopping if reclaimed => {
            (EventKind::SpotInterrupted, format!("spot instance {id} was given notice{why}"))
        }
        InstanceState::Draining => (EventKind::InstanceDraining, format!("{id} drains{why}")),
        InstanceState::Stopping => (EventKind::InstanceStopping, format!("{id} was told to stop{why}")),
        InstanceState::Stopped => {
            let exit = instance.last_exit.map(|exit| format!(" ({})", exit.describe())).unwrap_or_default();
            (EventKind::InstanceStopped, format!("{id} stopped{exit}{why}"))
        }
    };
    Some(told)
}

fn starting(instance: &InstanceObserved) -> String {
    let kind = match instance.kind {
        InstanceKind::Demand => "",
        InstanceKind::Spot => "spot ",
    };
    let again = match instance.restarts {
        0 => String::new(),
        failures => {
            let exit = instance.last_exit.map(|exit| format!(", the last {}", exit.describe())).unwrap_or_default();
            let failed = if failures == 1 { "a failure".to_owned() } else { format!("{failures} failures in a row") };
            format!(" after {failed}{exit}")
        }
    };
    format!("{kind}{} of generation {} starts{again}", instance.id, instance.generation)
}
