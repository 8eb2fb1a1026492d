//! The fake's commands: a handful of words with the meaning that a shell gives them.

use tapit_model::EXEC_MAX_PAYLOAD;
use tokio::sync::mpsc;

use crate::{EXEC_QUEUE, ExecInput, ExecOutput, ExecRequest, ExecSession};

const NOT_FOUND: u8 = 127;
const SIGNALLED: u8 = 128;

/// What a command of the fake does.
enum Program {
    /// `sh -c 'exit N'`.
    Exit(u8),
    /// `echo WORDS`.
    Say(String),
    /// `cat`: gives back its input until that ends.
    Cat,
    /// `sleep N`: ends by a signal.
    Sleep,
    Unknown(String),
}

impl Program {
    fn of(argv: &[String]) -> Self {
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["sh", "-c", script] => match script.strip_prefix("exit ").and_then(|code| code.parse().ok()) {
                Some(code) => Self::Exit(code),
                None => Self::Unknown((*script).to_owned()),
            },
            ["echo", words @ ..] => Self::Say(words.join(" ") + "\n"),
            ["cat"] => Self::Cat,
            ["sleep", _] => Self::Sleep,
            words => Self::Unknown(words.join(" ")),
        }
    }
}

pub(super) fn start(request: &ExecRequest) -> ExecSession {
    let (input, inputs) = mpsc::channel(EXEC_QUEUE);
    let (outputs, output) = mpsc::channel(EXEC_QUEUE);
    tokio::spawn(run(Program::of(&request.argv), inputs, outputs));
    ExecSession { input, output }
}

async fn run(program: Program, mut inputs: mpsc::Receiver<ExecInput>, outputs: mpsc::Sender<ExecOutput>) {
    let status = match program {
        Program::Exit(status) => status,
        Program::Say(text) => {
            // Whoever does not listen any more needs no status either.
            let _ = outputs.send(ExecOutput::Stdout(text.into_bytes())).await;
            0
        }
        Program::Cat | Program::Sleep => match attend(&program, &mut inputs, &outputs).await {
            Some(status) => status,
            None => return,
        },
        Program::Unknown(name) => {
            let _ = outputs.send(ExecOutput::Stderr(format!("{name}: not found\n").into_bytes())).await;
            NOT_FOUND
        }
    };
    let _ = outputs.send(ExecOutput::Exited(status)).await;
}

/// Until a signal or, for a command that reads, the end of its input. `None`: everybody has gone.
async fn attend(
    program: &Program,
    inputs: &mut mpsc::Receiver<ExecInput>,
    outputs: &mpsc::Sender<ExecOutput>,
) -> Option<u8> {
    let echoes = matches!(program, Program::Cat);
    loop {
        let input = tokio::select! {
            input = inputs.recv() => input?,
            () = outputs.closed() => return None,
        };
        match input {
            ExecInput::Bytes(bytes) => {
                let taken = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                for part in bytes.chunks(EXEC_MAX_PAYLOAD).filter(|_| echoes) {
                    outputs.send(ExecOutput::Stdout(part.to_vec())).await.ok()?;
                }
                outputs.send(ExecOutput::Taken(taken)).await.ok()?;
            }
            ExecInput::End if echoes => return Some(0),
            ExecInput::End | ExecInput::Resize(_) => {}
            ExecInput::Signal(number) => return Some(SIGNALLED.saturating_add(number)),
        }
    }
}
