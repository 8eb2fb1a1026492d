//! `/v1/apps/{app}/processes/{process}/exec`: a command in a running instance, over a connection that is upgraded to
//! frames (`tapit_model::ExecFrame`).
//!
//! ```text
//! request ─► instance chosen, command started ─► 101 ─► frames both ways ─► exit or error, and the end
//! ```
//!
//! What can be refused is refused before the upgrade, with a status like everywhere else. Whoever hangs up ends the
//! command. An idle session may last for ever; how many there are is bounded.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, HeaderMap, UPGRADE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tapit_engine::{ExecInput, ExecOutput, ExecRequest, ExecSession, Terminal};
use tapit_model::{Code, CommandLine, EXEC_PROTOCOL, ExecFrame, InstanceId, Refusal, WindowSize};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::core::ExecAsked;
use super::errors::ApiError;
use super::extract::{Asked, InProcess};
use super::{Api, Core};

/// Each has a helper process and some buffers.
const SESSIONS: u32 = 128;
/// How long a client may take to read the last words of a session, and to hang up.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Signals are numbered from 1 to this.
const LAST_SIGNAL: u8 = 64;
/// No identity of an instance and no name of a terminal is longer.
const LONGEST_WORD: usize = 256;

/// The places for sessions.
#[derive(Clone)]
pub(super) struct Sessions(Arc<Semaphore>);

impl Default for Sessions {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(SESSIONS as usize)))
    }
}

impl Sessions {
    fn enter(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_| {
            let text =
                format!("{SESSIONS} commands run in instances already, the most at a time; end one and try again");
            Refusal::new(Code::Unavailable, text)
        })
    }

    /// Waits until every session has ended, which all do soon once the server is to end.
    pub(super) async fn ended(&self) {
        // In time or not: what is left then is cut off with the server.
        let _ = tokio::time::timeout(2 * LAST_WORDS, self.0.acquire_many(SESSIONS)).await;
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExecQuery {
    command: String,
    instance: Option<String>,
    tty: Option<String>,
    term: Option<String>,
}

impl ExecQuery {
    fn meaning(self) -> Result<(Option<InstanceId>, ExecRequest), ApiError> {
        let command = CommandLine::parse(&self.command).map_err(ApiError::usage)?;
        let short = |key: &str, word: Option<String>| match word {
            Some(word) if word.is_empty() || word.len() > LONGEST_WORD || word.contains('\0') => {
                Err(ApiError::usage(format!("{key}= is empty, too long or holds a NUL byte")))
            }
            word => Ok(word),
        };
        let instance = short("instance", self.instance)?.map(|id| InstanceId::opaque(&id));
        let name = short("term", self.term)?.unwrap_or_else(|| "xterm".to_owned());
        let terminal = match self.tty {
            None => None,
            Some(size) => {
                let wrong = || ApiError::usage(format!("tty={size} is not legal; give COLUMNSxROWS, such as 80x24"));
                Some(Terminal { name, size: WindowSize::parse(&size).ok_or_else(wrong)? })
            }
        };
        Ok((instance, ExecRequest { argv: command.argv().to_vec(), terminal }))
    }
}

/// Runs a command in a running instance.
///
/// Asks for `Connection: Upgrade` and `Upgrade: tapit-exec/1`. After the answer 101 both sides send frames: a kind (one
/// byte), a length (four bytes, big-endian, at most 65,536), a payload. From the client: 1 standard input, 2 its end, 3 a
/// terminal's new size (columns and rows, two bytes each), 4 a signal (one byte). From the server: 129 standard output,
/// 130 standard error, 131 how many bytes of input were taken (four bytes; at most 262,144 may be on their way), and as the
/// last 132 the exit status (one byte) or 133 an error (one byte as the command line would exit with, and a text).
#[utoipa::path(
    post, path = "/v1/apps/{app}/processes/{process}/exec", tag = "processes",
    params(
        ("app" = String, Path, description = "name of the app"),
        ("process" = String, Path, description = "name of the process"),
        ("command" = String, Query, description = "split like a shell splits words; with shell operators, run by /bin/sh"),
        ("instance" = Option<String>, Query, description = "id of an instance; the newest healthy one when left out"),
        ("tty" = Option<String>, Query, description = "COLUMNSxROWS: on a terminal of this size instead of three pipes"),
        ("term" = Option<String>, Query, description = "name of the terminal, for TERM")
    ),
    responses((status = 101, description = "the command runs, and frames follow"))
)]
pub(super) async fn start(
    State(api): State<Api>,
    InProcess(app, process): InProcess,
    Asked(query): Asked<ExecQuery>,
    mut request: Request,
) -> Result<Response, ApiError> {
    check_upgrade(request.headers())?;
    let (instance, exec) = query.meaning()?;
    let place = api.sessions.enter()?;
    let session = api.core.exec(ExecAsked { app, process, instance, request: exec }).await?;
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(run(upgrade, session, api.core, place));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static(EXEC_PROTOCOL));
    Ok(response)
}

fn check_upgrade(headers: &HeaderMap) -> Result<(), ApiError> {
    let lists = |name, word: &str| {
        let values = headers.get_all(name).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    if lists(CONNECTION, "upgrade") && lists(UPGRADE, EXEC_PROTOCOL) {
        return Ok(());
    }
    let text = format!("exec speaks frames; ask with Connection: Upgrade and Upgrade: {EXEC_PROTOCOL}");
    Err(ApiError::with_status(StatusCode::UPGRADE_REQUIRED, Refusal::usage(text)))
}

type Reader = ReadHalf<TokioIo<Upgraded>>;
type Writer = WriteHalf<TokioIo<Upgraded>>;

/// Why no more frames come from the client.
enum Silence {
    HungUp,
    Wrong(String),
}

/// One session. Dropping its ends ends the command.
async fn run(upgrade: OnUpgrade, session: ExecSession, core: Arc<dyn Core>, _place: OwnedSemaphorePermit) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "whoever asked for a command went away");
            return;
        }
    };
    let (reader, mut writer) = split(TokioIo::new(upgraded));
    let ExecSession { input, mut output } = session;
    // Held until the end, so that a client that is wrong is told so before the command hears that it is let go of.
    let _input = input.clone();
    // A task of its own: while output waits for a slow client, its signals are still heard.
    let mut listening = tokio::spawn(listen(reader, input));
    let speaking = async {
        loop {
            let frame = next_frame(&mut output, &mut listening, &*core).await;
            let Some(frame) = frame else { return };
            let is_last = matches!(frame, ExecFrame::Exit(_) | ExecFrame::Error(_));
            // Whoever hung up does not read either.
            if writer.write_all(&frame.encode()).await.is_err() {
                return;
            }
            if is_last {
                return part(writer, &mut listening).await;
            }
        }
    };
    tokio::select! {
        () = speaking => {}
        () = async { core.closing().await; tokio::time::sleep(LAST_WORDS).await } => {}
    }
    listening.abort();
}

/// Lets the client hang up first: a connection that is closed with unread input is reset, and what was told last may be
/// lost with it.
async fn part(mut writer: Writer, listening: &mut JoinHandle<Silence>) {
    // A client that is gone already has read it, or never will.
    let _ = writer.shutdown().await;
    if !listening.is_finished() {
        let _ = tokio::time::timeout(LAST_WORDS, listening).await;
    }
}

/// What is to be told next; `None` when nobody listens.
async fn next_frame(
    output: &mut mpsc::Receiver<ExecOutput>,
    listening: &mut JoinHandle<Silence>,
    core: &dyn Core,
) -> Option<ExecFrame> {
    let ending = || {
        let text = "the server is ending, and the command with it; the instance runs on";
        ExecFrame::Error(Refusal::new(Code::Unavailable, text))
    };
    tokio::select! {
        biased;
        () = core.closing() => Some(ending()),
        output = output.recv() => Some(match output {
            Some(ExecOutput::Stdout(bytes)) => ExecFrame::Stdout(bytes),
            Some(ExecOutput::Stderr(bytes)) => ExecFrame::Stderr(bytes),
            Some(ExecOutput::Taken(count)) => ExecFrame::Taken(count),
            Some(ExecOutput::Exited(status)) => ExecFrame::Exit(status),
            Some(ExecOutput::Lost(text)) => ExecFrame::Error(Refusal::failed(text)),
            None => ending(),
        }),
        silence = listening => match silence {
            Ok(Silence::Wrong(text)) => Some(ExecFrame::Error(Refusal::usage(text))),
            Ok(Silence::HungUp) | Err(_) => None,
        },
    }
}

/// Reads the client's frames to their end.
async fn listen(mut reader: Reader, input: mpsc::Sender<ExecInput>) -> Silence {
    loop {
        let frame = match read_frame(&mut reader).await {
            Ok(frame) => frame,
            Err(silence) => return silence,
        };
        let told = match frame {
            ExecFrame::Stdin(bytes) => ExecInput::Bytes(bytes),
            ExecFrame::StdinEnd => ExecInput::End,
            ExecFrame::Resize(size) => ExecInput::Resize(size),
            ExecFrame::Signal(number) if (1..=LAST_SIGNAL).contains(&number) => ExecInput::Signal(number),
            ExecFrame::Signal(number) => return Silence::Wrong(format!("{number} is not a signal")),
            ExecFrame::Stdout(_)
            | ExecFrame::Stderr(_)
            | ExecFrame::Taken(_)
            | ExecFrame::Exit(_)
            | ExecFrame::Error(_) => return Silence::Wrong("only a server sends such frames".to_owned()),
        };
        if input.send(told).await.is_err() {
            // The command has ended, which is being told; until the client has read it, it may say what it likes.
            let _ = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
            return Silence::HungUp;
        }
    }
}

async fn read_frame(reader: &mut Reader) -> Result<ExecFrame, Silence> {
    let wrong = |error: tapit_model::ExecFrameError| Silence::Wrong(error.to_string());
    let mut header = [0; ExecFrame::HEADER];
    reader.read_exact(&mut header).await.map_err(|_| Silence::HungUp)?;
    let (kind, length) = ExecFrame::header(header).map_err(wrong)?;
    let mut payload = vec![0; length];
    reader.read_exact(&mut payload).await.map_err(|_| Silence::HungUp)?;
    ExecFrame::decode(kind, payload).map_err(wrong)
}
