//! Settings as words of the command line: what changed, and the command that undoes it.

use tapit_model::{
    AppName, Capability, CpuMillis, PROCESS_KEYS, PortSetting, ProcessField, ProcessKey, ProcessSpec, ResizeMode,
    Seconds,
};

/// One key whose value differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub key: &'static str,
    pub before: String,
    pub after: String,
}

/// The keys whose values differ, in the order of the table.
pub(super) fn changed(before: &ProcessSpec, after: &ProcessSpec) -> Vec<Word> {
    let word = |info: &tapit_model::KeyInfo| {
        let (before, after) = (value(before, info.field)?, value(after, info.field)?);
        (before != after).then_some(Word { key: info.name, before, after })
    };
    PROCESS_KEYS.iter().filter_map(word).collect()
}

/// `memory=2 command='python worker.py'`.
pub(super) fn list<'a>(words: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    words.into_iter().map(|(key, value)| format!("{key}={}", quoted(value))).collect::<Vec<_>>().join(" ")
}

/// The command that puts the values back. A size that was rolled out goes back the same way.
pub(super) fn undo(key: &ProcessKey, words: &[Word], resize: ResizeMode) -> String {
    let ProcessKey { app, process } = key;
    let back = list(words.iter().map(|word| (word.key, word.before.as_str())));
    let sized = words.iter().any(|word| ["memory", "cpu"].contains(&word.key));
    let rolling = match resize {
        ResizeMode::Rolling if sized => " resize=rolling",
        ResizeMode::Rolling | ResizeMode::InPlace => "",
    };
    format!("tapit -a {app} set process name={process} {back}{rolling}")
}

pub(super) fn undo_create(key: &ProcessKey) -> String {
    format!("tapit -a {} delete process name={}", key.app, key.process)
}

pub(super) fn undo_create_app(app: &AppName) -> String {
    format!("tapit -a {app} delete app")
}

/// What a new process is made with, defaults included, so that the normalised values are seen.
pub(super) fn summary(spec: &ProcessSpec) -> String {
    let always = [ProcessField::Memory, ProcessField::Cpu, ProcessField::Demand, ProcessField::Spot];
    let default = ProcessSpec::default();
    let words = PROCESS_KEYS.iter().filter_map(|info| {
        let value_now = value(spec, info.field)?;
        let shown = always.contains(&info.field) || Some(&value_now) != value(&default, info.field).as_ref();
        shown.then_some((info.name, value_now))
    });
    let words: Vec<_> = words.collect();
    list(words.iter().map(|(key, value)| (*key, value.as_str())))
}

/// The value of a key as it is typed; empty where the default has no value. `None`: not a setting, only a manner.
fn value(spec: &ProcessSpec, field: ProcessField) -> Option<String> {
    let text = match field {
        ProcessField::Memory => spec.size.memory.to_string(),
        ProcessField::Cpu => cpu(spec.size.cpu),
        ProcessField::Demand => spec.demand.to_string(),
        ProcessField::Spot => spec.spot.to_string(),
        ProcessField::SpotFallback => spec.spot_fallback.map_or_else(|| "none".to_owned(), seconds),
        ProcessField::Command => spec.command.as_ref().map(|c| c.typed().to_owned()).unwrap_or_default(),
        ProcessField::Image => spec.image.as_ref().map(ToString::to_string).unwrap_or_default(),
        ProcessField::Port => match spec.port {
            PortSetting::Auto => String::new(),
            PortSetting::None => "none".to_owned(),
            PortSetting::Port(port) => port.to_string(),
        },
        ProcessField::HealthPath => spec.health.path.clone().unwrap_or_default(),
        ProcessField::HealthTimeout => seconds(spec.health.timeout),
        ProcessField::MinHealthyTime => seconds(spec.health.min_healthy),
        ProcessField::DrainTimeout => seconds(spec.lifecycle.drain_timeout),
        ProcessField::StopTimeout => seconds(spec.lifecycle.stop_timeout),
        ProcessField::Userns => spec.confinement.userns.to_string(),
        ProcessField::CapAdd => Capability::list(&spec.confinement.cap_add),
        ProcessField::Disabled => spec.disabled.to_string(),
        ProcessField::Resize => return None,
    };
    Some(text)
}

fn cpu(size: CpuMillis) -> String {
    size.to_string()
}

fn seconds(time: Seconds) -> String {
    format!("{}s", time.0)
}

/// A value that a shell reads back as it is.
fn quoted(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&b);
    if value.bytes().all(plain) { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) }
}
