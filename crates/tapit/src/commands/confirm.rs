//! Asks before something is taken away.

use std::path::Path;

use tapit_model::{ProcessName, Refusal};

use super::Stop;
use crate::invocation::Common;
use crate::output::Screen;

/// Asks on a terminal. Without one, and without `--force`, the command line is wrong: nobody could answer.
fn confirm(what: &str, question: &str, common: &Common, screen: &mut Screen) -> Result<(), Stop> {
    if common.force || common.dry_run {
        return Ok(());
    }
    let terminals = screen.terminals();
    if !terminals.input || !terminals.talk {
        return Err(Refusal::usage(format!("{what} asks first, and there is no terminal to ask on; add --force")).into());
    }
    if screen.ask(question)? { Ok(()) } else { Err(Refusal::failed("nothing was changed").into()) }
}

pub fn process(name: &ProcessName, app: &str, common: &Common, screen: &mut Screen) -> Result<(), Stop> {
    let public = if name.is_public() {
        " It is the public process: requests from outside will find nothing."
    } else {
        ""
    };
    let question = format!("Delete the process {name} of {app} and all its instances?{public}");
    confirm(&format!("delete process {name}"), &question, common, screen)
}

pub fn app(app: &str, common: &Common, screen: &mut Screen) -> Result<(), Stop> {
    let question = format!("Delete the app {app} with all its processes and instances?");
    confirm(&format!("delete app {app}"), &question, common, screen)
}

pub fn image(name: &str, common: &Common, screen: &mut Screen) -> Result<(), Stop> {
    confirm(&format!("delete image {name}"), &format!("Forget the image {name}?"), common, screen)
}

pub fn teardown(data_dir: &Path, common: &Common, screen: &mut Screen) -> Result<(), Stop> {
    let shown = data_dir.display();
    let question = format!("Stop every instance of the server at {shown} and remove everything it ever made?");
    confirm(&format!("teardown of {shown}"), &question, common, screen)
}
