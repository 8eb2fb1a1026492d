//! Where on v2 the parent cgroup goes; pure.
//!
//! Three places, tried in this order:
//!
//! 1. The unit's own subtree, when systemd has put the server into a group *below* its delegated unit (`Delegate=yes` and
//!    `DelegateSubgroup=`, systemd 254). The unit's own limits then hold for the instances as well.
//! 2. The top of the hierarchy, where no group of systemd's is. This is the place also under a unit that is delegated
//!    without a subgroup: with instances below it, its group may hold no process any more, and systemd, which starts a
//!    unit's program in that very group, could not start the server again while they run.
//! 3. The server's own group, where the top may not be written to: in a container, say.

/// Where this process is on v2, and the groups that a parent cgroup would be made in from here, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub own: String,
    pub places: Vec<String>,
}

/// The v2 group of a process, from its `/proc/PID/cgroup`; `/` where it has none.
pub fn own(text: &str) -> String {
    let own = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    // The kernel marks a group that was removed while the process was in it.
    own.strip_suffix(" (deleted)").unwrap_or(own).to_owned()
}

/// The groups to try, best first; empty means the top. `is_delegated` answers for a group whether somebody has handed it over to be divided.
pub fn candidates(own: &str, is_delegated: impl Fn(&str) -> bool) -> Vec<String> {
    let own = own.trim_end_matches('/');
    let unit = own.rsplit_once('/').map(|(unit, _)| unit).filter(|unit| !unit.is_empty() && is_delegated(unit));
    // A path that leads out of the namespace of cgroups is of no use.
    let own = Some(own).filter(|own| !own.is_empty() && !own.split('/').any(|name| name == ".."));
    unit.into_iter().chain([""]).chain(own).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(own: &str, delegated: &[&str]) -> Vec<String> {
        candidates(own, |group| delegated.contains(&group))
    }

    #[test]
    fn a_server_in_the_subgroup_of_a_delegated_unit_divides_the_unit() {
        let unit = "/system.slice/tapit.service";
        assert_eq!(check(&format!("{unit}/manager"), &[unit]), [unit, "", "/system.slice/tapit.service/manager"]);
    }

    #[test]
    fn a_delegated_unit_without_a_subgroup_is_left_whole_so_that_it_can_be_started_again() {
        let unit = "/system.slice/tapit.service";
        assert_eq!(check(unit, &[unit]), ["", unit]);
        assert_eq!(check(unit, &[]), ["", unit]);
    }

    #[test]
    fn without_systemd_the_top_comes_first_and_the_own_group_is_for_want_of_it() {
        assert_eq!(check("/", &["/"]), [""]);
        assert_eq!(check("/lxc/one", &[]), ["", "/lxc/one"]);
        assert_eq!(
            check("/user.slice/user-0.slice/session-3.scope", &[]),
            ["", "/user.slice/user-0.slice/session-3.scope"]
        );
        assert_eq!(check("/../../other", &[]), [""], "outside of the namespace");
    }

    #[test]
    fn the_own_group_is_on_the_line_of_v2() {
        assert_eq!(own("0::/system.slice/tapit.service\n"), "/system.slice/tapit.service");
        assert_eq!(own("4:memory:/x\n1:name=systemd:/y\n0::/z\n"), "/z");
        assert_eq!(own("0::/gone (deleted)\n"), "/gone");
        assert_eq!(own("4:memory:/x\n"), "/");
    }
}
