//! A command in a running instance: carries bytes and signals between this program's streams and the server.
//!
//! ```text
//! stdin ─ thread ─► pick up ─┐                      ┌─► stdout, stderr
//! signals, window size ──────┴─► writer ─► server ─► reader
//! ```

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

use tapit_model::{Code, EXEC_WINDOW, ExecFrame, Refusal};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::Stop;
use super::session::Session;
use super::terminal::{self, Raw};
use crate::client::{FrameReader, FrameWriter, frames, query};
use crate::invocation::ExecWanted;
use crate::output::Screen;

/// What is read of the standard input at once.
const BLOCK: usize = 16 * 1024;
/// Frames that wait for either direction.
const QUEUE: usize = 4;

pub async fn exec(session: &mut Session<'_, '_>, wanted: ExecWanted) -> Result<(), Stop> {
    let app = session.app().await?;
    let process = session.process_or_only(&app, wanted.process).await?;
    let terminals = session.screen.terminals();
    let at_terminal = terminals.input && terminals.output;
    let mut asked = vec![("command", wanted.command)];
    asked.extend(wanted.instance.map(|id| ("instance", id)));
    if at_terminal {
        asked.push(("tty", terminal::size().to_string()));
        asked.extend(session.variable("TERM").map(|name| ("term", name.to_owned())));
    }
    // Before the command runs, so that no signal falls between.
    let signals = Signals::new().map_err(|error| Refusal::failed(format!("cannot listen for signals: {error}")))?;
    let path = format!("/v1/apps/{app}/processes/{process}/exec{}", query(&asked));
    let connection = session.client.upgrade(&path).await?;
    session.screen.flush()?;
    let raw = if at_terminal { Raw::enter() } else { None };
    let (reader, writer) = frames(connection);
    let talk = Talk { heard: listen(reader), outgoing: speak(writer) };
    let status = converse(session.screen, talk, Input::new(), signals).await;
    drop(raw);
    match status? {
        0 => Ok(()),
        status => Err(Stop::Ended(status)),
    }
}

/// Both directions of the connection.
struct Talk {
    heard: mpsc::Receiver<ExecFrame>,
    outgoing: mpsc::Sender<ExecFrame>,
}

/// Until the command has ended; answers its status.
async fn converse(screen: &mut Screen<'_>, mut talk: Talk, mut input: Input, mut signals: Signals) -> Result<u8, Stop> {
    // A server that takes no more may have said how the command ended, which is still to be heard.
    let mut is_taken = true;
    loop {
        let frame = tokio::select! {
            heard = talk.heard.recv() => match heard {
                Some(ExecFrame::Stdout(bytes)) => {
                    screen.pass(&bytes)?;
                    continue;
                }
                Some(ExecFrame::Stderr(bytes)) => {
                    screen.pass_talk(&bytes);
                    continue;
                }
                Some(ExecFrame::Taken(count)) => {
                    input.taken(count);
                    continue;
                }
                Some(ExecFrame::Exit(status)) => return Ok(status),
                Some(ExecFrame::Error(refusal)) => return Err(refusal.into()),
                Some(
                    ExecFrame::Stdin(_) | ExecFrame::StdinEnd | ExecFrame::Resize(_) | ExecFrame::Signal(_),
                ) | None => return Err(lost().into()),
            },
            frame = input.next(), if is_taken && input.may_send() => frame,
            frame = signals.next(), if is_taken => frame,
        };
        is_taken = talk.outgoing.send(frame).await.is_ok();
    }
}

fn lost() -> Refusal {
    Refusal::new(Code::Unavailable, "the connection to the server was lost, and the command was ended with it")
}

/// A task of its own, since a frame must be read whole.
fn listen(mut reader: FrameReader) -> mpsc::Receiver<ExecFrame> {
    let (told, heard) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        while let Some(frame) = reader.next().await {
            if told.send(frame).await.is_err() {
                return;
            }
        }
    });
    heard
}

/// A task of its own, since a frame must be written whole.
fn speak(mut writer: FrameWriter) -> mpsc::Sender<ExecFrame> {
    let (outgoing, mut frames) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        while let Some(frame) = frames.recv().await {
            // That the connection is lost is noticed by its reader as well.
            if writer.send(&frame).await.is_err() {
                return;
            }
        }
    });
    outgoing
}

/// The standard input, as far as the server wants it.
struct Input {
    blocks: mpsc::Receiver<Vec<u8>>,
    ended: bool,
    on_their_way: usize,
}

impl Input {
    /// Reads in a thread that is left behind at the end: a read of a terminal cannot be called off. It uses a descriptor of
    /// its own, since the program's main thread has locked the standard input.
    fn new() -> Self {
        let (read, blocks) = mpsc::channel(1);
        if let Ok(stdin) = std::io::stdin().as_fd().try_clone_to_owned() {
            std::thread::spawn(move || feed(File::from(stdin), &read));
        }
        Self { blocks, ended: false, on_their_way: 0 }
    }

    fn may_send(&self) -> bool {
        !self.ended && self.on_their_way + BLOCK <= EXEC_WINDOW
    }

    async fn next(&mut self) -> ExecFrame {
        match self.blocks.recv().await {
            Some(bytes) => {
                self.on_their_way += bytes.len();
                ExecFrame::Stdin(bytes)
            }
            None => {
                self.ended = true;
                ExecFrame::StdinEnd
            }
        }
    }

    fn taken(&mut self, count: u32) {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.on_their_way = self.on_their_way.saturating_sub(count);
    }
}

fn feed(mut stdin: File, read: &mpsc::Sender<Vec<u8>>) {
    let mut block = vec![0; BLOCK];
    loop {
        match stdin.read(&mut block) {
            Ok(0) => return,
            Ok(len) if read.blocking_send(block[..len].to_vec()).is_ok() => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// What this program is told from outside and the command should know. In raw mode, Ctrl-C is a byte like any other.
struct Signals {
    resized: Signal,
    passed_on: [(SignalKind, Signal); 6],
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let on = |kind: SignalKind| Ok::<_, std::io::Error>((kind, signal(kind)?));
        Ok(Self {
            resized: signal(SignalKind::window_change())?,
            passed_on: [
                on(SignalKind::hangup())?,
                on(SignalKind::interrupt())?,
                on(SignalKind::quit())?,
                on(SignalKind::terminate())?,
                on(SignalKind::user_defined1())?,
                on(SignalKind::user_defined2())?,
            ],
        })
    }

    async fn next(&mut self) -> ExecFrame {
        std::future::poll_fn(|context| {
            for (kind, signal) in &mut self.passed_on {
                if signal.poll_recv(context).is_ready() {
                    let number = u8::try_from(kind.as_raw_value()).unwrap_or_default();
                    return std::task::Poll::Ready(ExecFrame::Signal(number));
                }
            }
            self.resized.poll_recv(context).map(|_| ExecFrame::Resize(terminal::size()))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Terminals;
    use crate::surroundings::Surroundings;

    #[tokio::test]
    async fn how_a_command_ended_is_heard_also_after_a_server_has_stopped_taking_its_input() {
        let (told, heard) = mpsc::channel(QUEUE);
        let (outgoing, taken) = mpsc::channel(QUEUE);
        drop(taken);
        let (read, blocks) = mpsc::channel(1);
        read.send(b"y\n".to_vec()).await.expect("has room");
        let (mut output, mut talk) = (Vec::new(), Vec::new());
        let mut input = std::io::empty();
        let mut screen =
            Screen::new(&mut output, &mut talk, &mut input, Terminals::default(), &Surroundings::default());
        let input = Input { blocks, ended: false, on_their_way: 0 };
        let conversation = converse(
            &mut screen,
            Talk { heard, outgoing },
            input,
            Signals::new().expect("signals can be listened for"),
        );
        let server = async {
            read.send(b"y\n".to_vec()).await.expect("the first was read");
            told.send(ExecFrame::Exit(5)).await.expect("it is listened to");
        };
        let (status, ()) = tokio::join!(conversation, server);
        assert!(matches!(status, Ok(5)), "{status:?}");
    }
}
