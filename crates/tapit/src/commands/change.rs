//! What every change has in common: say what was done and how to undo it, wait if asked to, print what it became.
//!
//! The wait is a loop of long polls. It ends when the server says that nothing more will happen by itself, or with the
//! connection; a change that was accepted goes on without its waiter.

use std::time::Duration;

use tapit_model::{Code, Outcome, Progress, Refusal};

use super::Stop;
use super::session::{Session, json};
use crate::client::{ClientError, query};
use crate::invocation::Format;
use crate::output::{apps_table, processes_table, tasks_table};

/// What the server is asked to wait before it answers in any case.
const POLL: Duration = Duration::from_secs(20);
/// Between two polls, should a server answer at once every time.
const PAUSE: Duration = Duration::from_millis(200);

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    Steady,
    Gone,
}

/// Finishes a change of what lives at `place`, the path of an app or process.
pub async fn finish(session: &mut Session<'_, '_>, outcome: Outcome, place: &str, goal: Goal) -> Result<(), Stop> {
    announce(session, &outcome);
    if !session.common.wait || outcome.dry_run {
        return print(session, &outcome);
    }
    let progress = wait(session, &outcome, place, goal).await?;
    let printed = print(session, &newest(session, outcome, place, goal).await);
    if progress.ok {
        return printed;
    }
    let mut text = progress.text;
    for line in progress.log_tail {
        text += &format!("\n  | {line}");
    }
    Err(Refusal::failed(text).into())
}

/// Finishes a change that is complete when it is answered.
pub fn finish_now(session: &mut Session<'_, '_>, outcome: &Outcome) -> Result<(), Stop> {
    announce(session, outcome);
    print(session, outcome)
}

pub fn announce(session: &mut Session<'_, '_>, outcome: &Outcome) {
    session.screen.say(&outcome.message);
    for note in &outcome.notes {
        session.screen.say(&format!("note: {note}"));
    }
    if outcome.dry_run {
        session.screen.say("dry run: nothing was changed");
    } else if let Some(inverse) = &outcome.inverse {
        session.screen.say(&format!("undo: {inverse}"));
    }
}

pub fn print(session: &mut Session<'_, '_>, outcome: &Outcome) -> Result<(), Stop> {
    if let Some(task) = &outcome.task {
        return session.show(task, |task, colour| tasks_table(std::slice::from_ref(task), colour));
    }
    match (&outcome.process, &outcome.app) {
        (Some(process), _) => session.show(process, |p, colour| processes_table(std::slice::from_ref(p), colour)),
        (None, Some(app)) => session.show(app, |a, colour| apps_table(std::slice::from_ref(a), colour)),
        // Nothing is left to show in a table; a program still gets one object for one change.
        (None, None) => match session.format() {
            Format::Table => Ok(()),
            Format::Json => Ok(session.screen.print(&json(outcome)?)?),
        },
    }
}

pub async fn wait(session: &mut Session<'_, '_>, outcome: &Outcome, place: &str, goal: Goal) -> Result<Progress, Stop> {
    let asked = query(&[("revision", outcome.revision.to_string()), ("wait", POLL.as_secs().to_string())]);
    let path = format!("{place}/settled{asked}");
    loop {
        let pause = tokio::time::sleep(PAUSE);
        match session.client.poll::<Progress>(&path, POLL).await {
            Ok(progress) if progress.settled => {
                if progress.ok {
                    session.screen.progress(&progress.text);
                }
                return Ok(progress);
            }
            Ok(progress) => session.screen.progress(&progress.text),
            Err(ClientError::Refused(refusal)) if goal == Goal::Gone && refusal.code == Code::NotFound => {
                return Ok(Progress { settled: true, ok: true, text: "gone".to_owned(), log_tail: Vec::new() });
            }
            Err(error) => {
                let refusal = Refusal::from(error);
                let text = format!("{}; the change was accepted, only the waiting for it ended", refusal.message);
                return Err(Refusal::new(refusal.code, text).into());
            }
        }
        pause.await;
    }
}

/// The outcome with its views as they are after the wait, where they can be had.
async fn newest(session: &Session<'_, '_>, mut outcome: Outcome, place: &str, goal: Goal) -> Outcome {
    if goal == Goal::Gone {
        // What is gone has no state any more.
        return Outcome { app: None, process: None, ..outcome };
    }
    if outcome.process.is_some() {
        if let Ok(process) = session.client.get(place).await {
            outcome.process = Some(process);
        }
    } else if outcome.app.is_some()
        && let Ok(app) = session.client.get(place).await
    {
        outcome.app = Some(app);
    }
    outcome
}
