//! Asks before something is taken away.

use std::path::Path;

use tapit_model::{AppName, ImageKey, ProcessName, Refusal, RegistryName};

use super::Stop;
use crate::invocation::Common;
use crate::output::Screen;

/// Refuses what could not be confirmed: without a terminal nobody can be asked, so the line needs `--force`. Looked at
/// before anything else, so that a script fails the same way whether or not there is a server.
pub fn possible(what: &str, common: &Common, screen: &Screen) -> Result<(), Refusal> {
    let terminals = screen.terminals();
    if common.force || common.dry_run || (terminals.input && terminals.talk) {
        return Ok(());
    }
    Err(Refusal::usage(format!("{what} asks first, and there is no terminal to ask on; add --force")))
}

fn ask(question: &str, common: &Common, screen: &mut Screen) -> Result<(), Stop> {
    if common.force || common.dry_run || screen.ask(question) {
        return Ok(());
    }
    Err(Refusal::failed("nothing was changed").into())
}

pub fn process(name: &ProcessName, app: &AppName, common: &Common, screen: &mut Screen) -> Result<(), Stop> {
    let public =
        if name.is_public() { " It is the public process: requests from outside will find nothing." } else { "" };
    let question = format!("Delete the process {name} of the app {app} and all its instances?{public}");
    ask(&question, common, screen)
}

pub fn app(app: &AppName, common: &Common, screen: &mut Screen) -> Result<(), Stop> {
    let question = format!("Delete the app {app} with all its processes and instances?");
    ask(&question, common, screen)
}

pub fn image(key: &ImageKey, common: &Common, screen: &mut Screen) -> Result<(), Stop> {
    possible("delete image", common, screen)?;
    ask(&format!("Forget the image {key}?"), common, screen)
}

pub fn registry(name: &RegistryName, common: &Common, screen: &mut Screen) -> Result<(), Stop> {
    possible("delete registry", common, screen)?;
    ask(&format!("Forget the login and the mirrors of the registry {name}?"), common, screen)
}

pub fn teardown(data_dir: &Path, common: &Common, screen: &mut Screen) -> Result<(), Stop> {
    possible("teardown", common, screen)?;
    let shown = data_dir.display();
    let question = format!("Stop every instance of the server at {shown} and remove everything it ever made?");
    ask(&question, common, screen)
}
