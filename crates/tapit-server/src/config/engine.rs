//! Which engine runs instances, and its settings. Those of one engine are refused with the other: a limit that is given
//! and not kept is worse than none.

use tapit_model::{EngineKind, MemoryMib, Refusal};

#[cfg(feature = "ecs")]
mod ecs;

/// As given on the command line or in the environment; `None`: the default.
#[derive(Debug, Clone, Default)]
pub struct EngineArgs {
    pub name: Option<String>,
    pub capacity_memory: Option<String>,
    pub spares_memory: Option<String>,
    pub reserve_memory: Option<String>,
    pub ecs: EcsArgs,
}

/// The settings of the ECS engine as given.
#[derive(Debug, Clone, Default)]
pub struct EcsArgs {
    pub region: Option<String>,
    pub subnets: Option<String>,
    pub security_groups: Option<String>,
    pub listener: Option<String>,
    pub domain: Option<String>,
    pub execution_role: Option<String>,
    pub task_role: Option<String>,
    pub assign_public_ip: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineChoice {
    Embedded(HostSettings),
    #[cfg(feature = "ecs")]
    Ecs(tapit_ecs::EcsSettings),
}

/// Of the embedded engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSettings {
    pub capacity: Option<MemoryMib>,
    /// For containers that are made before they are needed.
    pub spares: MemoryMib,
    /// What the host should keep available; `None`: the engine decides.
    pub reserve: Option<MemoryMib>,
}

impl EngineChoice {
    pub fn resolve(args: EngineArgs) -> Result<Self, Refusal> {
        let kind = args.name.as_deref().map_or(Some(EngineKind::Embedded), EngineKind::parse);
        match kind {
            Some(EngineKind::Embedded) => embedded(&args).map(EngineChoice::Embedded),
            Some(EngineKind::Ecs) => ecs(args),
            None => {
                let name = args.name.unwrap_or_default();
                Err(Refusal::usage(format!("--engine {name} is not known; the engines are embedded and ecs")))
            }
        }
    }

    pub fn kind(&self) -> EngineKind {
        match self {
            EngineChoice::Embedded(_) => EngineKind::Embedded,
            #[cfg(feature = "ecs")]
            EngineChoice::Ecs(_) => EngineKind::Ecs,
        }
    }
}

fn embedded(args: &EngineArgs) -> Result<HostSettings, Refusal> {
    if let Some(flag) = args.ecs.given() {
        return Err(Refusal::usage(format!("{flag} is a setting of --engine ecs, and the embedded engine is to run")));
    }
    let capacity = args.capacity_memory.as_deref().map(MemoryMib::parse).transpose().map_err(|error| {
        Refusal::usage(format!("--capacity-memory {:?} is not legal; {}", error.value, error.legal))
    })?;
    Ok(HostSettings {
        capacity,
        spares: memory_or_none("--spares-memory", args.spares_memory.as_deref())?.unwrap_or(SPARES),
        reserve: memory_or_none("--reserve-memory", args.reserve_memory.as_deref())?,
    })
}

/// Memory, where 0 stands for none at all.
fn memory_or_none(flag: &str, text: Option<&str>) -> Result<Option<MemoryMib>, Refusal> {
    let wrong = |error: tapit_model::QuantityError| {
        Refusal::usage(format!("{flag} {:?} is not legal; {}, or 0 for none", error.value, error.legal))
    };
    match text {
        Some("0") => Ok(Some(MemoryMib::from_mib(0))),
        text => text.map(MemoryMib::parse).transpose().map_err(wrong),
    }
}

/// Some dozen spares.
const SPARES: MemoryMib = MemoryMib::from_mib(64);

impl EcsArgs {
    /// The first flag that was given, if any was.
    fn given(&self) -> Option<&'static str> {
        let Self { region, subnets, security_groups, listener, domain, execution_role, task_role, assign_public_ip } =
            self;
        let flags = [
            (REGION, region),
            (SUBNETS, subnets),
            (SECURITY_GROUPS, security_groups),
            (LISTENER, listener),
            (DOMAIN, domain),
            (EXECUTION_ROLE, execution_role),
            (TASK_ROLE, task_role),
            (ASSIGN_PUBLIC_IP, assign_public_ip),
        ];
        flags.into_iter().find_map(|(flag, value)| value.as_ref().map(|_| flag))
    }
}

const REGION: &str = "--ecs-region";
const SUBNETS: &str = "--ecs-subnets";
const SECURITY_GROUPS: &str = "--ecs-security-groups";
const LISTENER: &str = "--ecs-listener";
const DOMAIN: &str = "--ecs-domain";
const EXECUTION_ROLE: &str = "--ecs-execution-role";
const TASK_ROLE: &str = "--ecs-task-role";
const ASSIGN_PUBLIC_IP: &str = "--ecs-assign-public-ip";

#[cfg(not(feature = "ecs"))]
fn ecs(_args: EngineArgs) -> Result<EngineChoice, Refusal> {
    Err(Refusal::usage("this build has no ECS engine; build with --features ecs"))
}

#[cfg(feature = "ecs")]
fn ecs(args: EngineArgs) -> Result<EngineChoice, Refusal> {
    let of_host = [
        ("--capacity-memory", args.capacity_memory),
        // None of these is what there is on ECS anyway.
        ("--spares-memory", args.spares_memory.filter(|memory| memory != "0")),
        ("--reserve-memory", args.reserve_memory.filter(|memory| memory != "0")),
    ];
    if let Some((flag, _)) = of_host.iter().find(|(_, value)| value.is_some()) {
        let text = format!("{flag} is about the memory of this machine, on which --engine ecs runs nothing");
        return Err(Refusal::usage(text));
    }
    ecs::settings(args.ecs).map(EngineChoice::Ecs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(change: impl FnOnce(&mut EngineArgs)) -> Result<EngineChoice, String> {
        let mut args = EngineArgs::default();
        change(&mut args);
        EngineChoice::resolve(args).map_err(|refusal| refusal.message)
    }

    fn host(change: impl FnOnce(&mut EngineArgs)) -> Result<HostSettings, String> {
        resolve(change).map(|choice| match choice {
            EngineChoice::Embedded(host) => host,
            #[cfg(feature = "ecs")]
            EngineChoice::Ecs(settings) => panic!("{settings:?}"),
        })
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut EngineArgs), part: &str) {
        let text = resolve(change).expect_err(part);
        assert!(text.contains(part), "{text}");
    }

    #[test]
    fn containers_of_this_machine_are_the_default() {
        let expected = HostSettings { capacity: None, spares: MemoryMib::from_mib(64), reserve: None };
        assert_eq!(host(|_| {}), Ok(expected.clone()));
        assert_eq!(host(|a| a.name = Some("embedded".into())), Ok(expected));
        refused(|a| a.name = Some("docker".into()), "the engines are embedded and ecs");
    }

    #[test]
    fn memory_is_given_in_gb_and_0_is_none() {
        refused(|a| a.capacity_memory = Some("lots".into()), "memory=0.5");
        refused(|a| a.spares_memory = Some("1M".into()), "or 0 for none");
        refused(|a| a.reserve_memory = Some("-1".into()), "or 0 for none");
        assert_eq!(host(|a| a.spares_memory = Some("0".into())).map(|host| host.spares.mib()), Ok(0));
        assert_eq!(
            host(|a| a.reserve_memory = Some("0".into())).map(|host| host.reserve),
            Ok(Some(MemoryMib::from_mib(0)))
        );
    }

    #[test]
    fn a_setting_of_ecs_is_refused_with_the_embedded_engine() {
        refused(|a| a.ecs.region = Some("eu-central-1".into()), "--ecs-region is a setting of --engine ecs");
        refused(|a| a.ecs.assign_public_ip = Some("true".into()), "--ecs-assign-public-ip is a setting");
    }

    #[cfg(not(feature = "ecs"))]
    #[test]
    fn a_build_without_ecs_says_so() {
        refused(|a| a.name = Some("ecs".into()), "this build has no ECS engine; build with --features ecs");
    }

    #[cfg(feature = "ecs")]
    #[test]
    fn memory_of_this_machine_is_refused_with_ecs_unless_it_is_none() {
        let ecs = |a: &mut EngineArgs| a.name = Some("ecs".into());
        let check = |change: fn(&mut EngineArgs), part| {
            refused(
                |a| {
                    ecs(a);
                    change(a);
                },
                part,
            );
        };
        check(|a| a.capacity_memory = Some("2".into()), "--capacity-memory is about the memory of this machine");
        check(|a| a.spares_memory = Some("64M".into()), "--spares-memory is about");
        check(|a| a.reserve_memory = Some("1".into()), "--reserve-memory is about");
        let none = resolve(|a| {
            ecs(a);
            (a.spares_memory, a.reserve_memory) = (Some("0".into()), Some("0".into()));
        });
        assert_eq!(none.map(|choice| choice.kind()), Ok(EngineKind::Ecs));
    }
}
