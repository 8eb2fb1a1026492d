//! What a command line means: the typed side of the grammar.
//!
//! The grammar makes these values and `commands` acts on them; nothing here knows how anything is spelled.

use std::path::PathBuf;

use tapit_model::{AppName, EngineKind, ImageKey, ImageRef, ProcessName, Refusal, RegistryName, TaskId, Words};

use crate::builder::{Builder, Options};
use crate::grammar::completion::Shell;
use crate::grammar::help::Topic;
use crate::grammar::{Flag, server as flags};
use crate::surroundings::Surroundings;

/// One command line.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    pub common: Common,
    pub action: Action,
}

/// What any command may be given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Common {
    /// From `-a`, `app=` or, where the command is about an app, its name.
    pub app: Option<AppName>,
    pub format: Option<Format>,
    pub wait: bool,
    pub dry_run: bool,
    pub force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Table,
    Json,
}

/// How an image that is to be built is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageName {
    Whole(ImageRef),
    /// As the app's image is, with this tag.
    Tagged(String),
    /// The same, with a tag that says which state was built.
    OfTheApp,
}

/// An image to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildWanted {
    /// Both paths as typed.
    pub context: PathBuf,
    pub dockerfile: Option<PathBuf>,
    pub name: ImageName,
    /// `None`: the first that works.
    pub builder: Option<Builder>,
    pub options: Options,
}

/// Where an image archive is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveSource {
    StandardInput,
    File(PathBuf),
}

/// The closed set of things that a command line can mean.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    Help(Topic),
    Version,
    Completion(Shell),
    /// Prints what may stand in the place of `current` after `words`; a completion script asks for it.
    Complete {
        words: Vec<String>,
        current: String,
    },
    Server(ServerWords),
    Teardown {
        data_dir: Option<PathBuf>,
    },
    /// Looks at what an engine would have here.
    Doctor(EngineWords),
    /// Needs a server.
    Ask(Command),
}

/// What a server is asked. Process names are optional where the server can be asked which ones there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    CreateApp { name: AppName, words: Words },
    DiffApp { engine: EngineKind },
    ListApps,
    ShowApp,
    SetApp { words: Words },
    DeleteApp,
    CreateProcess { name: ProcessName, words: Words },
    SetProcess { name: Option<ProcessName>, words: Words },
    RestartProcess { name: Option<ProcessName> },
    ShowProcess { name: Option<ProcessName> },
    ListProcesses,
    DeleteProcess { name: Option<ProcessName> },
    InterruptProcess { name: Option<ProcessName>, count: u32 },
    CreateTask { words: Words },
    ListTasks,
    ShowTask { id: TaskId },
    StopTask { id: TaskId },
    ImportImage { source: ArchiveSource, name: Option<ImageRef> },
    BuildImage(BuildWanted),
    PushImage { name: Option<ImageRef>, to: Option<ImageRef> },
    SetRegistry { name: RegistryName, words: Words },
    ListRegistries,
    ShowRegistry { name: RegistryName },
    DeleteRegistry { name: RegistryName },
    PullImage { name: ImageRef },
    ListImages,
    ShowImage { key: ImageKey },
    DeleteImage { key: ImageKey },
    PruneImages,
    Events { process: Option<ProcessName>, lines: u32, reading: Reading },
    Logs(LogsWanted),
    Exec(ExecWanted),
    Status,
    Top { process: Option<ProcessName>, reading: Reading },
}

/// Which lines of which logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogsWanted {
    pub process: Option<ProcessName>,
    pub instance: Option<String>,
    pub lines: u32,
    /// As typed; the server's clock gives a span its meaning.
    pub since: Option<String>,
    pub reading: Reading,
}

/// A command to run in an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecWanted {
    pub process: Option<ProcessName>,
    /// `None`: the newest healthy one.
    pub instance: Option<String>,
    /// As typed; the server splits it.
    pub command: String,
}

/// The meaning of a row that needs a server.
pub fn ask(command: Command) -> Result<Action, Refusal> {
    Ok(Action::Ask(command))
}

/// Whether events, lines or measurements are printed as they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Snapshot,
    Following,
}

/// The settings of `tapit server`, as typed or from the environment; the server gives them their meaning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerWords {
    pub data_dir: Option<PathBuf>,
    pub api: Option<String>,
    pub http: Option<String>,
    pub engine: EngineWords,
    pub ephemeral: bool,
    pub images_disk: Option<String>,
    pub log_format: Option<String>,
}

/// Which engine, and its settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineWords {
    pub name: Option<String>,
    pub capacity_memory: Option<String>,
    pub spares_memory: Option<String>,
    pub reserve_memory: Option<String>,
    pub ecs: EcsWords,
}

/// The settings of the ECS engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EcsWords {
    pub region: Option<String>,
    pub subnets: Option<String>,
    pub security_groups: Option<String>,
    pub listener: Option<String>,
    pub domain: Option<String>,
    pub execution_role: Option<String>,
    pub task_role: Option<String>,
    pub assign_public_ip: Option<String>,
}

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoctorWanted {
    pub engine: EngineWords,
    /// Containers would have their files in this directory.
    pub dir: PathBuf,
    pub common: Common,
}

/// Fills what was not typed from the variable of the flag.
fn fill(flag: &Flag, slot: &mut Option<String>, surroundings: &Surroundings) -> Result<(), Refusal> {
    if slot.is_none()
        && let Some(name) = flag.variable
        && let Some(value) = surroundings.variable(name)
    {
        flag.check(name, value)?;
        *slot = Some(value.to_owned());
    }
    Ok(())
}

impl EngineWords {
    /// Fills what was not typed from the environment.
    pub fn with_environment(mut self, surroundings: &Surroundings) -> Result<Self, Refusal> {
        let ecs = &mut self.ecs;
        let slots = [
            (&flags::ENGINE, &mut self.name),
            (&flags::CAPACITY_MEMORY, &mut self.capacity_memory),
            (&flags::SPARES_MEMORY, &mut self.spares_memory),
            (&flags::RESERVE_MEMORY, &mut self.reserve_memory),
            (&flags::ECS_REGION, &mut ecs.region),
            (&flags::ECS_SUBNETS, &mut ecs.subnets),
            (&flags::ECS_SECURITY_GROUPS, &mut ecs.security_groups),
            (&flags::ECS_LISTENER, &mut ecs.listener),
            (&flags::ECS_DOMAIN, &mut ecs.domain),
            (&flags::ECS_EXECUTION_ROLE, &mut ecs.execution_role),
            (&flags::ECS_TASK_ROLE, &mut ecs.task_role),
            (&flags::ECS_ASSIGN_PUBLIC_IP, &mut ecs.assign_public_ip),
        ];
        for (flag, slot) in slots {
            fill(flag, slot, surroundings)?;
        }
        Ok(self)
    }
}

impl ServerWords {
    /// Fills what was not typed from the environment: one variable per flag.
    pub fn with_environment(mut self, surroundings: &Surroundings) -> Result<Self, Refusal> {
        self.engine = self.engine.with_environment(surroundings)?;
        let from = |flag: &Flag, slot: &mut Option<String>| fill(flag, slot, surroundings);
        let mut data_dir = self.data_dir.take().map(|dir| dir.to_string_lossy().into_owned());
        from(&flags::DATA_DIR, &mut data_dir)?;
        self.data_dir = data_dir.map(PathBuf::from);
        from(&flags::API, &mut self.api)?;
        from(&flags::HTTP, &mut self.http)?;
        from(&flags::IMAGES_DISK, &mut self.images_disk)?;
        from(&flags::LOG_FORMAT, &mut self.log_format)?;
        let mut ephemeral = None;
        from(&flags::EPHEMERAL, &mut ephemeral)?;
        match ephemeral.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None | Some("false" | "no" | "off" | "0") => {}
            Some("true" | "yes" | "on" | "1") => self.ephemeral = true,
            Some(other) => {
                let text = format!("TAPIT_EPHEMERAL={other} is not legal; give true or false (yes/no, on/off, 1/0)");
                return Err(Refusal::usage(text));
            }
        }
        Ok(self)
    }
}
