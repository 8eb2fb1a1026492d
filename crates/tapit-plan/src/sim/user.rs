//! What users ask for.

use tapit_model::{AppName, EngineKind, ImageRef, ProcessKey, ProcessName, ProcessPatch, Request, TaskId, Words};

use super::behaviour::Behaviour;
use super::{Sim, observe};
use crate::app::{Grounds, ImageProgress, admit};

const APPS: [&str; 2] = ["blog", "shop"];
const COMMANDS: [&str; 2] = ["migrate", "report"];
const PROCESSES: [&str; 3] = ["default", "api", "work"];

impl Sim {
    pub(super) fn user_may_ask(&mut self) -> Result<(), String> {
        if self.server.is_none() || !self.rng.percent(12) {
            return Ok(());
        }
        let request = self.any_request()?;
        let Some(server) = &mut self.server else { return Ok(()) };
        let observed = observe::observe(&server.held, &self.machine, self.now);
        // Who asks anew gets a new try of the registry.
        server.images.retain(|_, progress| matches!(progress, ImageProgress::Preparing));
        let before = self.store.clone();
        let (engine, now) = (EngineKind::Embedded, self.wall());
        let grounds = Grounds { world: &self.store, observed: &observed, engine, now };
        let Ok(admission) = admit(&grounds, &request) else { return Ok(()) };
        self.seen.requests_from_users += 1;
        self.note(format!("asked: {}", admission.message));
        self.commit(&admission.changes)?;
        siblings_untouched(&request, &before, &self.store)?;
        if self.rng.percent(3) {
            self.kill_server("after a request");
        }
        Ok(())
    }

    fn any_request(&mut self) -> Result<Request, String> {
        let name = self.rng.pick(&APPS).copied().unwrap_or("shop");
        let app = AppName::parse(name).map_err(|error| error.to_string())?;
        let name = self.rng.pick(&PROCESSES).copied().unwrap_or("default");
        let process = ProcessName::parse(name).map_err(|error| error.to_string())?;
        let is_known = self.store.processes.contains_key(&ProcessKey::new(&app, &process));
        if !self.store.apps.contains_key(&app) {
            let image = Some(self.any_image()?);
            let patch = self.any_patch(true)?;
            return Ok(Request::CreateApp { app, image, patch });
        }
        if !is_known {
            let patch = self.any_patch(true)?;
            return Ok(Request::CreateProcess { app, process, patch });
        }
        Ok(match self.rng.below(120) {
            100..109 => Request::CreateTask { app, patch: self.any_task()? },
            109.. => match self.any_task_of(&app) {
                Some(task) => Request::StopTask { app, task },
                None => Request::CreateTask { app, patch: self.any_task()? },
            },
            0..60 => Request::SetProcess { app, process, patch: self.any_patch(false)? },
            60..75 => Request::RestartProcess { app, process },
            75..85 => Request::SetApp { app, image: Some(Some(self.any_image()?)) },
            85..95 => Request::DeleteProcess { app, process },
            _ => Request::DeleteApp { app },
        })
    }

    fn any_task(&mut self) -> Result<ProcessPatch, String> {
        let command = self.rng.pick(&COMMANDS).copied().unwrap_or_default();
        let tag = if self.rng.percent(60) { "completes" } else { Behaviour::any_tag(&mut self.rng) };
        let image = format!("any:{tag}");
        let words = [("command", command.to_owned()), ("image", image)].map(|(key, value)| (key.to_owned(), value));
        ProcessPatch::parse(&Words::from(words), true).map_err(|refusal| refusal.message)
    }

    fn any_task_of(&mut self, app: &AppName) -> Option<TaskId> {
        let tasks: Vec<_> = self.store.tasks_of(app).into_iter().map(|(_, task)| task.id).collect();
        self.rng.pick(&tasks).copied()
    }

    fn any_image(&mut self) -> Result<ImageRef, String> {
        ImageRef::parse(&format!("any:{}", Behaviour::any_tag(&mut self.rng))).map_err(|error| error.to_string())
    }

    fn any_patch(&mut self, create: bool) -> Result<ProcessPatch, String> {
        let mut words = Words::new();
        let mut put = |key: &str, value: String| words.insert(key.to_owned(), value);
        for _ in 0..self.rng.between(1, 3) {
            let number = self.rng.below(6);
            match self.rng.below(10) {
                0 | 1 => put("demand_count", number.to_string()),
                2 => put("spot_count", number.to_string()),
                3 | 4 => put("image", format!("any:{}", Behaviour::any_tag(&mut self.rng))),
                5 => put("memory", format!("{}M", 64 << number.min(3))),
                6 => put("command", format!("run {number}")),
                9 if number == 0 => put("spot_fallback", "none".to_owned()),
                9 => put("spot_fallback", format!("{}s", number * number * 2)),
                7 if !create => put("disabled", (number < 2).to_string()),
                7 => put("cpu", "0.5".to_owned()),
                _ => put("stop_timeout", (number * 9).to_string()),
            };
        }
        if !create && words.contains_key("memory") && self.rng.percent(30) {
            words.insert("resize".to_owned(), "rolling".to_owned());
        }
        ProcessPatch::parse(&words, create).map_err(|refusal| refusal.message)
    }
}

/// A request about one process leaves the rows of all others alone.
fn siblings_untouched(
    request: &Request,
    before: &tapit_model::World,
    after: &tapit_model::World,
) -> Result<(), String> {
    let own = match request {
        Request::CreateApp { .. } | Request::SetApp { .. } | Request::DeleteApp { .. } => return Ok(()),
        Request::CreateProcess { app, process, .. }
        | Request::SetProcess { app, process, .. }
        | Request::RestartProcess { app, process }
        | Request::DeleteProcess { app, process } => ProcessKey::new(app, process),
        Request::CreateTask { app, .. } => TaskId(before.next_task.0.max(1)).key(app),
        Request::StopTask { app, task } => task.key(app),
    };
    let touched = before.processes.iter().find(|(key, row)| **key != own && after.processes.get(*key) != Some(*row));
    touched.map_or(Ok(()), |(key, _)| Err(format!("a request about {own} changed {key}")))
}
