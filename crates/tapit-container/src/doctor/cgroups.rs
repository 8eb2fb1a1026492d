//! Control groups: which layout, which controllers, whether they can be written to, and what is counted.

use std::fs;
use std::path::Path;

use nix::unistd::{AccessFlags, access};

use super::Check;
use crate::linux::cgroup::{Layout, Standing};

/// Without these no instance can be held to its size.
const NEEDED: [&str; 3] = ["cpu", "memory", "pids"];
const LAYOUT: &str = "cgroups";
const CONTROLLERS: &str = "cgroup controllers";

pub fn checks() -> Vec<Check> {
    let layout = match Layout::get() {
        Ok(layout) => layout,
        Err(error) => {
            let advice = "no instance can be held to its size; mount the cgroup hierarchies, or boot with systemd";
            return vec![Check::missing(LAYOUT, tapit_model::describe(&error), advice)];
        }
    };
    vec![kind(layout), controllers(layout), writable(layout), swap(layout), place(layout)]
}

fn kind(layout: &Layout) -> Check {
    match layout {
        Layout::V2 => Check::ok(LAYOUT, "version 2 (unified)"),
        Layout::V1(hierarchies) => {
            let beside = if Path::new("/sys/fs/cgroup/unified").is_dir() { ", version 2 beside it unused" } else { "" };
            Check::ok(LAYOUT, format!("version 1, {} hierarchies{beside}", hierarchies.len()))
        }
    }
}

fn controllers(layout: &Layout) -> Check {
    let present: Vec<String> = match layout {
        Layout::V1(hierarchies) => {
            hierarchies.iter().flat_map(|hierarchy| &hierarchy.controllers).map(ToString::to_string).collect()
        }
        Layout::V2 => {
            let text = layout.mount_of("").map(|mount| fs::read_to_string(mount.join("cgroup.controllers")));
            text.and_then(Result::ok).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
        }
    };
    judge_controllers(&present)
}

fn judge_controllers(present: &[String]) -> Check {
    let lacking: Vec<&str> = NEEDED.into_iter().filter(|name| !present.iter().any(|held| held == name)).collect();
    if lacking.is_empty() {
        return Check::ok(CONTROLLERS, present.join(", "));
    }
    let advice = "no instance can be held to its size; boot with cgroup_enable=memory, and in a container pass the controllers on";
    Check::missing(CONTROLLERS, format!("{} not there", lacking.join(", ")), advice)
}

fn writable(layout: &Layout) -> Check {
    const FEATURE: &str = "cgroup access";
    if !super::is_root() {
        return Check::unknown(FEATURE);
    }
    let closed: Vec<String> = layout
        .mounts()
        .into_iter()
        .filter(|mount| access(*mount, AccessFlags::W_OK).is_err())
        .map(|mount| mount.display().to_string())
        .collect();
    if closed.is_empty() {
        return Check::ok(FEATURE, "can be written to");
    }
    // On v2 a group further down may have been handed over.
    let found = format!("{} can only be read", closed.join(", "));
    let advice = "a server in a container needs cgroups that it may write to";
    match layout {
        Layout::V1(_) => Check::missing(FEATURE, found, advice),
        Layout::V2 => Check::lacking(FEATURE, found, format!("{advice}, at least below its own")),
    }
}

/// Instances have no swap of their own, which takes accounting of swap where the host has any.
fn swap(layout: &Layout) -> Check {
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    let accounted = match layout {
        Layout::V1(_) => {
            layout.mount_of("memory").is_some_and(|mount| mount.join("memory.memsw.limit_in_bytes").exists())
        }
        // Its files are not at the top, so that only a kernel built without it can be told.
        Layout::V2 => true,
    };
    judge_swap(swaps.lines().count().saturating_sub(1), accounted)
}

fn judge_swap(areas: usize, accounted: bool) -> Check {
    const FEATURE: &str = "swap accounting";
    match (areas, accounted) {
        (0, false) => Check::ok(FEATURE, "not counted, and there is no swap"),
        (0, true) => Check::ok(FEATURE, "counted; there is no swap"),
        (_, true) => Check::ok(FEATURE, "counted; instances get no swap"),
        (_, false) => {
            let cost = "an instance that runs out of memory swaps instead of being restarted, and slows its neighbours";
            Check::lacking(
                FEATURE,
                "not counted, and there is swap",
                format!("{cost}; boot with swapaccount=1, or swapoff"),
            )
        }
    }
}

/// Where a server that is started from here would put its instances.
fn place(layout: &Layout) -> Check {
    const FEATURE: &str = "cgroup of instances";
    match layout {
        Layout::V1(_) => Check::ok(FEATURE, "at the top of each hierarchy; the unit needs KillMode=process"),
        Layout::V2 => match Standing::here() {
            Ok(standing) => Check::ok(FEATURE, judge_standing(&standing)),
            Err(error) => Check::lacking(FEATURE, tapit_model::describe(&error), "is /proc mounted?"),
        },
    }
}

fn judge_standing(standing: &Standing) -> String {
    let first = standing.places.first().map_or("", |place| place.as_str());
    let place = if first.is_empty() { "at the top".to_owned() } else { format!("below {first}, which is delegated") };
    format!("this process is in {}; from here it would be {place}", standing.own)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn every_controller_that_sizes_need_must_be_there() {
        let held = |names: &str| names.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(judge_controllers(&held("cpuset cpu io memory pids")).state, State::Ok);
        let check = judge_controllers(&held("cpuset cpu io pids"));
        assert_eq!((check.state, check.detail.as_str()), (State::Missing, "memory not there"));
    }

    #[test]
    fn swap_matters_only_where_there_is_some() {
        let states =
            [(0, false), (0, true), (2, true), (1, false)].map(|(areas, counted)| judge_swap(areas, counted).state);
        assert_eq!(states, [State::Ok, State::Ok, State::Ok, State::Lacking]);
    }

    #[test]
    fn where_instances_would_go_is_said_with_where_the_server_is() {
        let standing = |places: &[&str]| Standing {
            own: "/a.service".to_owned(),
            places: places.iter().map(|place| (*place).to_owned()).collect(),
        };
        assert!(judge_standing(&standing(&["", "/a.service"])).ends_with("it would be at the top"));
        assert!(judge_standing(&standing(&["/a.service", ""])).ends_with("below /a.service, which is delegated"));
    }
}
