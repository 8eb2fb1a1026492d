//! Commands run in an instance beside its program.

use tapit_model::InstanceKey;

use super::stage::{Stage, key};
use super::{Nature, Subject};
use crate::{EngineError, ExecInput, ExecOutput, ExecRequest, ExecSession};

const TERM: u8 = 15;

/// What came of a command.
#[derive(Debug, Default)]
struct Ended {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    taken: u64,
    status: Option<u8>,
}

async fn instance(stage: &Stage<'_>) -> InstanceKey {
    stage.run(&key("api"), stage.counts(1, 0)).await.instance_key(0)
}

async fn start(stage: &Stage<'_>, instance: &InstanceKey, argv: &[&str]) -> ExecSession {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    let request = ExecRequest { argv, terminal: None };
    stage.subject.engine().exec(instance, request).await.expect("the command is started")
}

async fn end(mut session: ExecSession) -> Ended {
    let mut ended = Ended::default();
    while let Some(output) = session.output.recv().await {
        match output {
            ExecOutput::Stdout(bytes) => ended.stdout.extend(bytes),
            ExecOutput::Stderr(bytes) => ended.stderr.extend(bytes),
            ExecOutput::Taken(count) => ended.taken += u64::from(count),
            ExecOutput::Exited(status) => ended.status = Some(status),
            ExecOutput::Lost(text) => panic!("the command was lost: {text}"),
        }
    }
    ended
}

/// An engine that cannot run commands says so, for an instance that runs.
async fn is_refused(stage: &Stage<'_>, instance: &InstanceKey) {
    let request = ExecRequest { argv: vec!["echo".to_owned()], terminal: None };
    let refused = stage.subject.engine().exec(instance, request).await.expect_err("cannot");
    assert!(matches!(refused, EngineError::Unsupported { .. }), "{refused:?}");
}

pub async fn a_command_in_an_instance_tells_its_output_and_its_status(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let instance = instance(&stage).await;
    if subject.nature() == Nature::Managed {
        return is_refused(&stage, &instance).await;
    }
    let said = end(start(&stage, &instance, &["echo", "a", "b c"]).await).await;
    assert_eq!((said.stdout.as_slice(), said.status), (&b"a b c\n"[..], Some(0)), "{said:?}");
    for status in [0, 3, 255] {
        let script = format!("exit {status}");
        assert_eq!(end(start(&stage, &instance, &["sh", "-c", &script]).await).await.status, Some(status));
    }
    let missing = end(start(&stage, &instance, &["no-such-program"]).await).await;
    assert_eq!(missing.status, Some(127));
    assert!(missing.stdout.is_empty() && !missing.stderr.is_empty(), "{missing:?}");
    // The program itself was left alone.
    assert_eq!(stage.settled(&key("api"), &stage.counts(1, 0)).await.instance_key(0), instance);
}

pub async fn a_command_in_an_instance_is_fed_and_signalled(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let instance = instance(&stage).await;
    if subject.nature() == Nature::Managed {
        return is_refused(&stage, &instance).await;
    }
    let session = start(&stage, &instance, &["cat"]).await;
    session.input.send(ExecInput::Bytes(b"one\n".to_vec())).await.expect("is taken");
    session.input.send(ExecInput::Bytes(b"two\n".to_vec())).await.expect("is taken");
    session.input.send(ExecInput::End).await.expect("is taken");
    let ended = end(session).await;
    assert_eq!((ended.stdout.as_slice(), ended.taken, ended.status), (&b"one\ntwo\n"[..], 8, Some(0)), "{ended:?}");
    let session = start(&stage, &instance, &["sleep", "1000"]).await;
    session.input.send(ExecInput::Signal(TERM)).await.expect("is taken");
    assert_eq!(end(session).await.status, Some(128 + TERM));
}

pub async fn no_command_runs_where_no_instance_runs(subject: &dyn Subject) {
    let stage = Stage::open(subject).await;
    let instance = instance(&stage).await;
    let request = || ExecRequest { argv: vec!["echo".to_owned()], terminal: None };
    let unknown = InstanceKey { id: tapit_model::InstanceId::opaque("api.77"), ..instance.clone() };
    let refused = subject.engine().exec(&unknown, request()).await.expect_err("is unknown");
    assert!(matches!(refused, EngineError::UnknownInstance(_)), "{refused:?}");
    stage.apply(&key("api"), stage.counts(0, 0)).await;
    stage.until(&key("api"), "has stopped", |seen| seen.left().is_empty()).await;
    let refused = subject.engine().exec(&instance, request()).await.expect_err("has stopped");
    let expected = match stage.nature() {
        Nature::Own => matches!(refused, EngineError::NotRunning(_) | EngineError::UnknownInstance(_)),
        Nature::Managed => matches!(refused, EngineError::Unsupported { .. } | EngineError::UnknownInstance(_)),
    };
    assert!(expected, "{refused:?}");
}
