//! One command's conversation with a server: who is asked, which app it is about, how the answer is printed.

use std::path::Path;

use serde::Serialize;
use tapit_model::{AppName, AppView, ProcessName, ProcessView, Refusal};

use super::Stop;
use crate::client::{Client, query};
use crate::invocation::{Common, Format};
use crate::output::Screen;
use crate::select;
use crate::surroundings::Surroundings;

pub struct Session<'a, 's> {
    pub client: Client,
    pub common: Common,
    pub screen: &'a mut Screen<'s>,
    surroundings: &'a Surroundings,
    format: Format,
}

impl<'a, 's> Session<'a, 's> {
    /// Reaches nothing yet.
    pub fn new(common: Common, surroundings: &'a Surroundings, screen: &'a mut Screen<'s>) -> Result<Self, Refusal> {
        let fitting = if screen.terminals().output { Format::Table } else { Format::Json };
        let format = common.format.unwrap_or(fitting);
        Ok(Self { client: Client::new(surroundings)?, common, screen, surroundings, format })
    }

    /// A variable of the environment that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&'a str> {
        self.surroundings.variable(name)
    }

    /// Where the command was typed.
    pub fn directory(&self) -> &'a Path {
        &self.surroundings.directory
    }

    /// The app that was named, if any was: on the command line, in the environment, in a file.
    pub fn named_app(&self) -> Result<Option<AppName>, Stop> {
        Ok(select::app(self.common.app.as_ref(), self.surroundings)?)
    }

    /// The selected app; where none is named, the only one there is.
    pub async fn app(&self) -> Result<AppName, Stop> {
        if let Some(app) = self.named_app()? {
            return Ok(app);
        }
        let apps: Vec<AppView> = self.client.get("/v1/apps").await?;
        let names: Vec<&str> = apps.iter().map(|app| app.name.as_str()).collect();
        let refusal = match names.as_slice() {
            [] => Refusal::usage("there is no app yet; make one with `tapit create app NAME`"),
            [only] => return parsed(AppName::parse(only)),
            [first, ..] => Refusal::usage(format!(
                "which app? There are {}; say it with -a, for example -a {first}",
                names.join(", ")
            )),
        };
        Err(refusal.into())
    }

    /// The named process; where none is named, a refusal that lists those there are.
    pub async fn process(&self, app: &AppName, name: Option<ProcessName>, title: &str) -> Result<ProcessName, Stop> {
        if let Some(name) = name {
            return Ok(name);
        }
        // The line is wrong whether or not the server can say which names there are.
        let names = self.process_names(app).await.unwrap_or_default();
        let list =
            if names.is_empty() { String::new() } else { format!("; the processes of {app} are {}", names.join(", ")) };
        let text = format!("{title} needs a name: `tapit {title} name=NAME`{list}");
        Err(Refusal::usage(text).into())
    }

    /// The named process; where none is named, the only one of the app.
    pub async fn process_or_only(&self, app: &AppName, name: Option<ProcessName>) -> Result<ProcessName, Stop> {
        if let Some(name) = name {
            return Ok(name);
        }
        let names = self.process_names(app).await?;
        let refusal = match names.as_slice() {
            [only] => return parsed(ProcessName::parse(only)),
            [] => {
                Refusal::usage(format!("the app {app} has no process; make one with `tapit create process name=NAME`"))
            }
            [first, ..] => Refusal::usage(format!(
                "the app {app} has several processes: {}; say which, for example name={first}",
                names.join(", ")
            )),
        };
        Err(refusal.into())
    }

    async fn process_names(&self, app: &AppName) -> Result<Vec<String>, Stop> {
        let processes: Vec<ProcessView> = self.client.get(&format!("/v1/apps/{app}/processes")).await?;
        Ok(processes.into_iter().map(|process| process.name).collect())
    }

    /// The query of a change.
    pub fn dry_run(&self) -> String {
        if self.common.dry_run { query(&[("dry_run", "true".to_owned())]) } else { String::new() }
    }

    /// Prints data as the user wants it.
    pub fn show<T: Serialize + ?Sized>(
        &mut self,
        data: &T,
        table: impl FnOnce(&T, bool) -> String,
    ) -> Result<(), Stop> {
        let text = match self.format {
            Format::Table => table(data, self.screen.colour()),
            Format::Json => json(data)?,
        };
        self.screen.print(&text)?;
        Ok(())
    }

    pub fn format(&self) -> Format {
        self.format
    }
}

fn parsed<T>(name: Result<T, tapit_model::NameError>) -> Result<T, Stop> {
    name.map_err(|error| Refusal::failed(format!("the server answered with an illegal name: {error}")).into())
}

pub fn json<T: Serialize + ?Sized>(data: &T) -> Result<String, Stop> {
    let text = serde_json::to_string_pretty(data);
    text.map(|text| text + "\n").map_err(|error| Refusal::failed(format!("cannot write JSON: {error}")).into())
}
