//! One-off tasks.

use std::time::Duration;

use hyper::Method;
use tapit_model::{AppName, LogLineView, Outcome, Progress, Refusal, TaskId, TaskView, Words};

use super::Stop;
use super::change::{Goal, announce, finish_now, print, wait};
use super::logs::Follower;
use super::session::Session;
use crate::client::query;
use crate::invocation::Format;
use crate::output::{task_page, tasks_table};

/// How often it is asked what a task waits for.
const POLL: Duration = Duration::from_secs(1);

fn place(app: &AppName, id: TaskId) -> String {
    format!("/v1/apps/{app}/tasks/{id}")
}

pub async fn create(session: &mut Session<'_, '_>, words: &Words) -> Result<(), Stop> {
    let app = session.app().await?;
    let path = format!("/v1/apps/{app}/tasks{}", session.dry_run());
    let outcome: Outcome = session.client.change(Method::POST, &path, Some(words)).await?;
    match (&outcome.task, session.common.wait) {
        (Some(task), true) => {
            let id = TaskId(task.id);
            announce(session, &outcome);
            attend(session, &app, id).await
        }
        (Some(_), false) | (None, _) => finish_now(session, &outcome),
    }
}

pub async fn list(session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let app = session.app().await?;
    let tasks: Vec<TaskView> = session.client.get(&format!("/v1/apps/{app}/tasks")).await?;
    session.show(tasks.as_slice(), tasks_table)
}

pub async fn show(session: &mut Session<'_, '_>, id: TaskId) -> Result<(), Stop> {
    let app = session.app().await?;
    let task: TaskView = session.client.get(&place(&app, id)).await?;
    session.show(&task, task_page)
}

/// However the task ends once it was asked to, the stop was done.
pub async fn stop(session: &mut Session<'_, '_>, id: TaskId) -> Result<(), Stop> {
    let app = session.app().await?;
    let path = format!("{}/stop{}", place(&app, id), session.dry_run());
    let mut outcome: Outcome = session.client.change(Method::POST, &path, Some(&Words::new())).await?;
    announce(session, &outcome);
    if session.common.wait && !outcome.dry_run {
        wait(session, &outcome, &place(&app, id), Goal::Steady).await?;
        outcome.task = Some(session.client.get(&place(&app, id)).await?);
    }
    print(session, &outcome)
}

/// Hands on what a task writes until it has ended, and ends as it did.
async fn attend(session: &mut Session<'_, '_>, app: &AppName, id: TaskId) -> Result<(), Stop> {
    let asked =
        vec![("process", id.process().to_string()), ("follow", "true".to_owned()), ("lines", "10000".to_owned())];
    let mut follower = Follower::open(&session.client, format!("/v1/apps/{app}/logs"), asked).await?;
    let path = format!("{}/settled{}", place(app, id), query(&[("wait", POLL.as_secs().to_string())]));
    let mut quiet = true;
    loop {
        let heard = tokio::select! {
            lines = follower.next(&session.client) => lines?,
            // What it waits for is news until it runs; a server that is away is the follower's to wait for.
            Ok(progress) = session.client.poll::<Progress>(&path, POLL), if quiet => {
                if progress.settled {
                    quiet = false;
                } else {
                    session.screen.progress(&progress.text);
                }
                continue;
            }
        };
        let Some(lines) = heard else { break };
        quiet &= lines.is_empty();
        for line in &lines {
            hand_on(session, line)?;
        }
    }
    let task: TaskView = session.client.get(&place(app, id)).await?;
    end(session, &task)
}

/// As the task wrote it. The standard output is kept for the task's view where that was asked for.
fn hand_on(session: &mut Session<'_, '_>, line: &LogLineView) -> Result<(), Stop> {
    let text = format!("{}\n", line.text);
    match line.stream.as_str() {
        "stdout" if session.common.format != Some(Format::Json) => session.screen.print(&text)?,
        "stdout" | "stderr" => {
            session.screen.flush()?;
            session.screen.pass_talk(text.as_bytes());
        }
        _ => session.screen.say(&line.text),
    }
    session.screen.flush()?;
    Ok(())
}

fn end(session: &mut Session<'_, '_>, task: &TaskView) -> Result<(), Stop> {
    if session.common.format == Some(Format::Json) {
        session.show(task, task_page)?;
    }
    let why = task.reason.as_deref().unwrap_or_default();
    let text = format!("task {} {}: {why}", task.id, task.state);
    match task.exit_status {
        Some(0) => {
            session.screen.say(&text);
            Ok(())
        }
        Some(status) => {
            session.screen.say(&text);
            Err(Stop::Ended(status))
        }
        None => Err(Refusal::failed(format!("task {} is {} and writes nothing more", task.id, task.state)).into()),
    }
}
