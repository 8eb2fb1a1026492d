//! The API over real sockets, with a script behind it.

mod changes;
mod client;
mod description;
mod doors;
mod exec;
mod images;
mod logs;
mod push;
mod reading;
mod script;
mod uploads;

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use client::{Answer, Ask};
use script::Script;

/// A server on a unix socket, in a directory that goes with it.
struct Server {
    _directory: TempDir,
    socket: PathBuf,
    script: Arc<Script>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let socket = directory.path().join("api.sock");
        let listener = UnixListener::bind(&socket).expect("the socket binds");
        let script = Arc::new(Script::new(directory.path().join("spool")));
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            // A dropped sender ends the server as well.
            let _ = stopped.await;
        };
        let serving = tokio::spawn(super::serve_unix(listener, script.clone(), shutdown));
        Self { _directory: directory, socket, script, stop, serving }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.socket).await.expect("the socket accepts")
    }

    async fn ask(&self, ask: Ask) -> Answer {
        ask.over(self.connect().await).await
    }

    fn spooled(&self) -> usize {
        std::fs::read_dir(&self.script.spool).map(Iterator::count).unwrap_or(0)
    }

    /// Waits for a condition that another task brings about; a bound keeps a failure from hanging.
    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        for _ in 0..2_000 {
            if condition(self) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("it never came to this: {what}");
    }
}

/// A server on loopback TCP; the sender ends it.
async fn tcp(token: Option<&str>) -> (std::net::SocketAddr, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let script = Arc::new(Script::new(PathBuf::from("/nonexistent")));
    tokio::spawn(super::serve_tcp(listener, script, token.map(str::to_owned), shutdown));
    (address, stop)
}
