//! `key=value` words as a typed change of a process.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    Capability, CommandLine, CpuMillis, ImageRef, MemoryMib, Port, PortSetting, ProcessField, ProcessSpec, Refusal,
    Seconds, process_field,
};

/// Words as typed: key to value. What the API's bodies hold, and what the command line sends.
pub type Words = BTreeMap<String, String>;

/// A value given, or an empty value, which goes back to the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Assign<T> {
    To(T),
    Clear,
}

/// A count, absolute or relative to the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CountChange {
    Exactly(u32),
    Plus(u32),
    Minus(u32),
}

impl CountChange {
    /// The most instances of one kind that a process may ask for.
    pub const MAX: u32 = 1000;

    fn parse(text: &str) -> Option<Self> {
        let (make, digits): (fn(u32) -> Self, _) = match text.as_bytes().first()? {
            b'+' => (Self::Plus, &text[1..]),
            b'-' => (Self::Minus, &text[1..]),
            _ => (Self::Exactly, text),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.parse().ok().filter(|n| *n <= Self::MAX).map(make)
    }

    /// The new count, or `None` when it leaves 0 to 1,000.
    pub fn of(self, present: u32) -> Option<u32> {
        match self {
            CountChange::Exactly(n) => Some(n),
            CountChange::Plus(n) => present.checked_add(n).filter(|n| *n <= Self::MAX),
            CountChange::Minus(n) => present.checked_sub(n),
        }
    }
}

/// How a new size reaches running instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResizeMode {
    InPlace,
    Rolling,
}

/// A typed change of a process: only what was named is `Some`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProcessPatch {
    pub memory: Option<Assign<MemoryMib>>,
    pub cpu: Option<Assign<CpuMillis>>,
    pub demand: Option<Assign<CountChange>>,
    pub spot: Option<Assign<CountChange>>,
    /// `none` is `Clear`: there is no other default to go back to.
    pub spot_fallback: Option<Assign<Seconds>>,
    pub command: Option<Assign<CommandLine>>,
    pub image: Option<Assign<ImageRef>>,
    pub port: Option<Assign<PortSetting>>,
    pub health_path: Option<Assign<String>>,
    pub health_timeout: Option<Assign<Seconds>>,
    pub min_healthy_time: Option<Assign<Seconds>>,
    pub drain_timeout: Option<Assign<Seconds>>,
    pub stop_timeout: Option<Assign<Seconds>>,
    pub userns: Option<Assign<bool>>,
    pub cap_add: Option<Assign<BTreeSet<Capability>>>,
    pub disabled: Option<bool>,
    pub resize: Option<ResizeMode>,
}

impl ProcessPatch {
    /// Parses all words before anything is changed. `create` refuses keys that make sense on `set` alone, and relative
    /// counts. Two spellings of one key must agree.
    pub fn parse(words: &Words, create: bool) -> Result<Self, Refusal> {
        let mut patch = Self::default();
        let mut seen: BTreeMap<ProcessField, (&str, &str)> = BTreeMap::new();
        for (key, value) in words {
            let info = process_field(key).map_err(Refusal::usage)?;
            if create && !info.on_create {
                let hint =
                    format!("{key} is a key of set, not of create; create the process first, then set {key}={value}");
                return Err(Refusal::usage(hint));
            }
            if let Some((other, earlier)) = seen.insert(info.field, (key, value))
                && earlier != value
            {
                return Err(Refusal::usage(format!(
                    "{other}={earlier} and {key}={value} are the same key with different values; give one of them"
                )));
            }
            patch.set(info.field, key, value, create)?;
        }
        Ok(patch)
    }

    fn set(&mut self, field: ProcessField, key: &str, value: &str, create: bool) -> Result<(), Refusal> {
        let wrong = |legal: &str| Refusal::usage(format!("{key}={value} is not legal; {legal}"));
        let seconds = |range: std::ops::RangeInclusive<u64>| {
            assign(value, |v| {
                Seconds::parse(v).filter(|s| range.contains(&s.0)).ok_or_else(|| {
                    wrong(&format!("give {} to {} seconds, for example {key}=30s", range.start(), range.end()))
                })
            })
        };
        match field {
            ProcessField::Memory => {
                self.memory = Some(assign(value, |v| MemoryMib::parse(v).map_err(|e| wrong(e.legal)))?);
            }
            ProcessField::Cpu => self.cpu = Some(assign(value, |v| CpuMillis::parse(v).map_err(|e| wrong(e.legal)))?),
            ProcessField::Demand => self.demand = Some(count(key, value, create)?),
            ProcessField::Spot => self.spot = Some(count(key, value, create)?),
            ProcessField::SpotFallback => self.spot_fallback = Some(fallback(key, value)?),
            ProcessField::Command => {
                self.command = Some(assign(value, |v| CommandLine::parse(v).map_err(Refusal::usage))?);
            }
            ProcessField::Image => {
                self.image = Some(assign(value, |v| ImageRef::parse(v).map_err(|e| Refusal::usage(e.to_string())))?);
            }
            ProcessField::Port => {
                let legal = || wrong("give a port between 1 and 65535, or none");
                self.port = Some(assign(value, |v| match v {
                    "none" => Ok(PortSetting::None),
                    v if v.bytes().all(|b| b.is_ascii_digit()) => {
                        v.parse::<Port>().map(PortSetting::Port).map_err(|_| legal())
                    }
                    _ => Err(legal()),
                })?);
            }
            ProcessField::HealthPath => {
                self.health_path = Some(assign(value, |v| {
                    let visible = v.bytes().all(|b| (0x21..0x7f).contains(&b));
                    if v.starts_with('/') && visible && v.len() <= 1024 {
                        Ok(v.to_owned())
                    } else {
                        Err(wrong("give a path that starts with / and has no spaces, for example health_path=/healthz"))
                    }
                })?);
            }
            ProcessField::HealthTimeout => self.health_timeout = Some(seconds(1..=3600)?),
            ProcessField::MinHealthyTime => self.min_healthy_time = Some(seconds(0..=3600)?),
            ProcessField::DrainTimeout => self.drain_timeout = Some(seconds(0..=3600)?),
            ProcessField::StopTimeout => self.stop_timeout = Some(seconds(0..=3600)?),
            ProcessField::Userns => self.userns = Some(assign(value, |v| boolean(v).ok_or_else(|| wrong(BOOLEAN)))?),
            ProcessField::CapAdd => {
                self.cap_add = Some(assign(value, |v| Capability::parse_list(v).map_err(|e| wrong(&e)))?);
            }
            ProcessField::Disabled => {
                self.disabled = Some(boolean(value).ok_or_else(|| wrong(BOOLEAN))?);
            }
            ProcessField::Resize => {
                self.resize = Some(match value {
                    "in_place" => ResizeMode::InPlace,
                    "rolling" => ResizeMode::Rolling,
                    _ => return Err(wrong("give in_place or rolling")),
                });
            }
        }
        Ok(())
    }

    /// The spec after this patch; refuses a relative count that leaves the legal range.
    pub fn apply_to(&self, present: &ProcessSpec) -> Result<ProcessSpec, Refusal> {
        let default = ProcessSpec::default();
        let mut spec = present.clone();
        put(&mut spec.size.memory, &self.memory, default.size.memory);
        put(&mut spec.size.cpu, &self.cpu, default.size.cpu);
        spec.demand = new_count("demand_count", &self.demand, present.demand, default.demand)?;
        spec.spot = new_count("spot_count", &self.spot, present.spot, default.spot)?;
        put_option(&mut spec.spot_fallback, &self.spot_fallback);
        put_option(&mut spec.command, &self.command);
        put_option(&mut spec.image, &self.image);
        put(&mut spec.port, &self.port, default.port);
        put_option(&mut spec.health.path, &self.health_path);
        put(&mut spec.health.timeout, &self.health_timeout, default.health.timeout);
        put(&mut spec.health.min_healthy, &self.min_healthy_time, default.health.min_healthy);
        put(&mut spec.lifecycle.drain_timeout, &self.drain_timeout, default.lifecycle.drain_timeout);
        put(&mut spec.lifecycle.stop_timeout, &self.stop_timeout, default.lifecycle.stop_timeout);
        put(&mut spec.confinement.userns, &self.userns, default.confinement.userns);
        put(&mut spec.confinement.cap_add, &self.cap_add, default.confinement.cap_add);
        spec.disabled = self.disabled.unwrap_or(spec.disabled);
        Ok(spec)
    }
}

fn assign<T>(value: &str, parse: impl FnOnce(&str) -> Result<T, Refusal>) -> Result<Assign<T>, Refusal> {
    if value.is_empty() { Ok(Assign::Clear) } else { parse(value).map(Assign::To) }
}

fn put<T: Clone>(slot: &mut T, assign: &Option<Assign<T>>, default: T) {
    match assign {
        Some(Assign::To(value)) => *slot = value.clone(),
        Some(Assign::Clear) => *slot = default,
        None => {}
    }
}

fn put_option<T: Clone>(slot: &mut Option<T>, assign: &Option<Assign<T>>) {
    match assign {
        Some(Assign::To(value)) => *slot = Some(value.clone()),
        Some(Assign::Clear) => *slot = None,
        None => {}
    }
}

fn count(key: &str, value: &str, create: bool) -> Result<Assign<CountChange>, Refusal> {
    let change = assign(value, |v| {
        CountChange::parse(v).ok_or_else(|| {
            let max = CountChange::MAX;
            let example = if create { "" } else { ", or a change such as +1 or -1" };
            Refusal::usage(format!("{key}={value} is not legal; give a whole number from 0 to {max}{example}"))
        })
    })?;
    match change {
        Assign::To(CountChange::Plus(_) | CountChange::Minus(_)) if create => Err(Refusal::usage(format!(
            "{key}={value} is relative, and a new process has no count yet; give a whole number from 0 to {}",
            CountChange::MAX
        ))),
        change @ (Assign::To(_) | Assign::Clear) => Ok(change),
    }
}

/// The longest time after which one may want stand-ins for spot instances: a day.
const MAX_FALLBACK: u64 = 86_400;

fn fallback(key: &str, value: &str) -> Result<Assign<Seconds>, Refusal> {
    if value == "none" {
        return Ok(Assign::Clear);
    }
    assign(value, |v| {
        Seconds::parse(v).filter(|time| (1..=MAX_FALLBACK).contains(&time.0)).ok_or_else(|| {
            Refusal::usage(format!(
                "{key}={value} is not legal; give 1 to {MAX_FALLBACK} seconds, for example {key}=5m, or none"
            ))
        })
    })
}

fn new_count(key: &str, change: &Option<Assign<CountChange>>, present: u32, default: u32) -> Result<u32, Refusal> {
    match change {
        None => Ok(present),
        Some(Assign::Clear) => Ok(default),
        Some(Assign::To(change)) => change.of(present).ok_or_else(|| {
            let sign = match change {
                CountChange::Plus(n) => format!("+{n}"),
                CountChange::Minus(n) => format!("-{n}"),
                CountChange::Exactly(n) => n.to_string(),
            };
            let max = CountChange::MAX;
            Refusal::usage(format!("{key}={sign} of the present {present} leaves the legal range 0 to {max}"))
        }),
    }
}

const BOOLEAN: &str = "give true or false (yes/no, on/off, 1/0)";

/// Booleans as users write them.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Words {
        text.split_whitespace().filter_map(|w| w.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    fn set(text: &str) -> Result<ProcessSpec, Refusal> {
        ProcessPatch::parse(&words(text), false)?.apply_to(&ProcessSpec::default())
    }

    #[test]
    fn synonyms_set_one_field() {
        for text in ["demand_count=5", "desired_count=5", "demand=5", "demand=5 desired_count=5", "demand_count=+4"] {
            assert_eq!(set(text).map(|s| s.demand), Ok(5), "{text}");
        }
        assert!(set("demand=5 desired_count=6").is_err());
    }

    #[test]
    fn an_empty_value_goes_back_to_the_default() {
        let patch = ProcessPatch::parse(&words("command=x memory=2 image=a:b userns=no cap_add=net_raw"), false)
            .expect("legal");
        let spec = patch.apply_to(&ProcessSpec::default()).expect("legal");
        let cleared = ProcessPatch::parse(&words("command= memory= image= userns= cap_add="), false).expect("legal");
        assert_eq!(cleared.apply_to(&spec), Ok(ProcessSpec::default()));
    }

    #[test]
    fn a_fallback_is_a_time_or_none() {
        let patch = ProcessPatch::parse(&words("spot_fallback=5m"), true).expect("legal");
        let spec = patch.apply_to(&ProcessSpec::default()).expect("legal");
        assert_eq!(spec.spot_fallback, Some(Seconds(300)));
        for text in ["spot_fallback=none", "spot_fallback="] {
            let patch = ProcessPatch::parse(&words(text), false).expect("legal");
            assert_eq!(patch.apply_to(&spec), Ok(ProcessSpec::default()), "{text}");
        }
    }

    #[test]
    fn wrong_values_name_the_value_and_the_legal_range() {
        for (text, part) in [
            ("memory=abc", "memory=abc is not legal"),
            ("demand_count=1001", "0 to 1000"),
            ("demand_count=-2", "leaves the legal range"),
            ("demand_count=1.5", "whole number"),
            ("port=0", "1 and 65535"),
            ("port=65536", "1 and 65535"),
            ("health_path=x", "starts with /"),
            ("disabled=maybe", "true or false"),
            ("memroy=1", "did you mean memory?"),
            ("stop_timeout=-1", "0 to 3600 seconds"),
            ("spot_fallback=0", "1 to 86400 seconds"),
            ("spot_fallback=25h", "or none"),
            ("userns=maybe", "true or false"),
            ("cap_add=NET_ADMN", "did you mean NET_ADMIN?"),
        ] {
            let error = set(text).expect_err(text);
            assert!(error.message.contains(part), "{text}: {}", error.message);
        }
    }
}
