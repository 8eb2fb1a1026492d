//! Carries out what a command line means: asks the server, prints, waits.
//!
//! A file per noun; `change` is what all changes have in common. Exit statuses are not chosen here but follow from the
//! code of a refusal, in [`crate::report`].

mod app;
mod build;
mod change;
mod complete;
mod confirm;
mod diff;
pub mod doctor;
mod events;
mod exec;
mod image;
mod logs;
mod process;
mod push;
mod registry;
mod session;
mod status;
mod task;
mod terminal;
mod top;
mod transfer;

use std::path::PathBuf;
use std::time::Duration;

use tapit_model::Refusal;

use crate::Ending;
use crate::invocation::{Action, Command, DoctorWanted, Invocation};
use crate::output::Screen;
use crate::surroundings::Surroundings;
use session::Session;

/// Why a command came to an end before its time.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    #[error("refused")]
    Refused(#[from] Refusal),
    /// What was run elsewhere has ended with a status of its own, and has had its say.
    #[error("ended with status {0}")]
    Ended(u8),
    #[error("the output cannot be written")]
    Write(#[from] std::io::Error),
}

impl From<crate::client::ClientError> for Stop {
    fn from(error: crate::client::ClientError) -> Self {
        Stop::Refused(error.into())
    }
}

impl From<crate::select::SelectError> for Stop {
    fn from(error: crate::select::SelectError) -> Self {
        Stop::Refused(error.into())
    }
}

pub fn perform(invocation: Invocation, surroundings: &Surroundings, screen: &mut Screen) -> Result<Ending, Stop> {
    let Invocation { common, action } = invocation;
    match action {
        Action::Help(topic) => screen.print(&topic.text())?,
        Action::Version => screen.print(concat!("tapit ", env!("CARGO_PKG_VERSION"), "\n"))?,
        Action::Completion(shell) => screen.print(shell.script())?,
        Action::Server(words) => {
            let mut words = words.with_environment(surroundings)?;
            // Said outright, so that a server and its clients cannot differ about the default.
            let data_dir = data_dir(words.data_dir.take(), surroundings)?;
            return Ok(Ending::Serve(data_dir, words));
        }
        Action::Teardown { data_dir: typed } => {
            let data_dir = data_dir(typed, surroundings)?;
            confirm::teardown(&data_dir, &common, screen)?;
            return Ok(Ending::Teardown(data_dir));
        }
        Action::Doctor(engine) => {
            let (engine, dir) = (engine.with_environment(surroundings)?, there(data_dir(None, surroundings)?));
            return Ok(Ending::Doctor(DoctorWanted { engine, dir, common }));
        }
        Action::Complete { words, current } => {
            let offers = block_on(complete::offers(&words, &current, surroundings))?;
            screen.print(&offers)?;
        }
        Action::Ask(command) => {
            let mut session = Session::new(common, surroundings, screen)?;
            block_on(ask(&mut session, command))??;
        }
    }
    Ok(Ending::Exit(0))
}

fn data_dir(typed: Option<PathBuf>, surroundings: &Surroundings) -> Result<PathBuf, Stop> {
    match typed {
        Some(dir) => Ok(surroundings.directory.join(dir)),
        None => Ok(crate::select::data_dir(surroundings)?),
    }
}

/// The directory itself, or the nearest one above it that there is.
fn there(dir: PathBuf) -> PathBuf {
    dir.ancestors().find(|above| above.is_dir()).map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

/// One thread is enough for one request at a time. A read of the standard input that never ends is left behind.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Refusal::failed(format!("cannot start the asynchronous runtime: {error}")))?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::ZERO);
    Ok(outcome)
}

async fn ask(session: &mut Session<'_, '_>, command: Command) -> Result<(), Stop> {
    match command {
        Command::CreateApp { name, words } => app::create(session, &name, words).await,
        Command::DiffApp { engine } => diff::diff(session, engine).await,
        Command::ListApps => app::list(session).await,
        Command::ShowApp => app::show(session).await,
        Command::SetApp { words } => app::set(session, &words).await,
        Command::DeleteApp => app::delete(session).await,
        Command::CreateProcess { name, words } => process::create(session, &name, words).await,
        Command::SetProcess { name, words } => process::set(session, name, &words).await,
        Command::RestartProcess { name } => process::restart(session, name).await,
        Command::ShowProcess { name } => process::show(session, name).await,
        Command::ListProcesses => process::list(session).await,
        Command::DeleteProcess { name } => process::delete(session, name).await,
        Command::InterruptProcess { name, count } => process::interrupt(session, name, count).await,
        Command::CreateTask { words } => task::create(session, &words).await,
        Command::ListTasks => task::list(session).await,
        Command::ShowTask { id } => task::show(session, id).await,
        Command::StopTask { id } => task::stop(session, id).await,
        Command::ImportImage { source, name } => image::import(session, source, name.as_ref()).await,
        Command::BuildImage(wanted) => build::build(session, wanted).await,
        Command::PushImage { name, to } => push::push(session, name, to).await,
        Command::PullImage { name } => image::pull(session, &name).await,
        Command::ListImages => image::list(session).await,
        Command::ShowImage { key } => image::show(session, &key).await,
        Command::DeleteImage { key } => image::delete(session, &key).await,
        Command::PruneImages => image::prune(session).await,
        Command::SetRegistry { name, words } => registry::set(session, &name, words).await,
        Command::ListRegistries => registry::list(session).await,
        Command::ShowRegistry { name } => registry::show(session, &name).await,
        Command::DeleteRegistry { name } => registry::delete(session, &name).await,
        Command::Events { process, lines, reading } => events::events(session, process, lines, reading).await,
        Command::Exec(wanted) => exec::exec(session, wanted).await,
        Command::Logs(wanted) => logs::logs(session, &wanted).await,
        Command::Status => status::status(session).await,
        Command::Top { process, reading } => top::top(session, process, reading).await,
    }
}
