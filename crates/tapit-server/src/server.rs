//! The server's life: start, ready, end. Wires the parts and holds no policy.

use std::future::Future;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tapit_engine::{EngineError, SharedEngine};
use tapit_model::{Code, EngineKind, ProcessObserved, Refusal, Revision, describe};
use tapit_router::{Router, RouterError};
use tapit_store::{Store, StoreError};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::{ApiAddress, Config, ImagesDisk, LogFormat, ServerArgs};
use crate::engine::{self, ChoiceError};
use crate::hub::{Facts, Hub};
use crate::ledger::Ledger;
use crate::lock::{DataDirLock, LockError};
use crate::service::Service;
use crate::traffic::RouterTraffic;
use crate::{api, clock, keep, reconcile};

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    #[error("opening the store")]
    Store(#[from] StoreError),
    #[error("starting the router")]
    Router(#[from] RouterError),
    #[error("starting the engine")]
    Engine(#[from] EngineError),
    #[error("preparing {}", path.display())]
    DataDir {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("listening for the API on {address}")]
    Api {
        address: String,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "{} is gone, but instances are there; restore it, or remove them with tapit teardown --force", path.display()
    )]
    LostStore { path: PathBuf },
    #[error("starting the runtime")]
    Runtime(#[source] std::io::Error),
}

/// A blocking call that hangs (a dead disk) must not keep a server from ending.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// Runs a server in the foreground until SIGTERM or SIGINT.
pub fn run(args: ServerArgs) -> ExitCode {
    let token = std::env::var("TAPIT_TOKEN").ok().filter(|token| !token.is_empty());
    let config = match Config::resolve(args, token) {
        Ok(config) => config,
        Err(refusal) => {
            eprintln!("tapit: {refusal}");
            return ExitCode::from(refusal.code.exit_status());
        }
    };
    init_logging(config.log_format);
    let served = requests().and_then(|requests| {
        let served = with_runtime(serve(config, requests.handle().clone()));
        requests.shutdown_timeout(LAST_CALLS);
        served
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tapit: {}", describe(&error));
            let held = matches!(
                error,
                ServerError::Lock(LockError::Held { .. }) | ServerError::Choice(ChoiceError::Other { .. })
            );
            ExitCode::from(if held { Code::Conflict } else { Code::Failed }.exit_status())
        }
    }
}

pub(crate) fn with_runtime<T>(future: impl Future<Output = Result<T, ServerError>>) -> Result<T, ServerError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(32)
        .build()
        .map_err(ServerError::Runtime)?;
    let result = runtime.block_on(future);
    runtime.shutdown_timeout(LAST_CALLS);
    result
}

/// A runtime for the router alone, so that no request waits for what the server does meanwhile to start and to end
/// instances.
fn requests() -> Result<Runtime, ServerError> {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    threads.enable_all().thread_name("router").build().map_err(ServerError::Runtime)
}

fn init_logging(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TAPIT_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second subscriber in one process only happens in tests, where the first is as good.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

async fn serve(config: Config, requests: Handle) -> Result<(), ServerError> {
    make_data_dir(&config.data_dir)?;
    let lock = DataDirLock::take(&config.data_dir)?;
    // Once more when the store is open; until then nothing of the other engine's is touched.
    engine::refuse_other(&config.data_dir, &config.engine, config.engine.kind())?;
    refuse_lost_store(&config.data_dir)?;
    empty_spool(&config.data_dir)?;
    let ledger = Ledger::open(Store::open(&store_path(&config.data_dir))?)?;
    ledger.read(|world| engine::claim(&config.data_dir, &config.engine, world))?;
    let router = {
        let _entered = requests.enter();
        Router::bind(config.http)?
    };
    let http = router.local_addr();
    let engine = open_engine(&config, &router).await?;
    engine.adopt(ledger.read(reconcile::initial_targets)).await?;

    let api = Api::bind(&config.api)?;
    let facts = Facts {
        api_url: api.url(),
        http,
        data_dir: config.data_dir.clone(),
        started_at: clock::now(),
        images_disk: images_disk(&config)?,
    };
    let seen_before = ledger.observed()?;
    let hub = Arc::new(Hub::new(facts, ledger, Arc::clone(&engine), router.handle()));
    hub.snapshot().observed = seen_before.into_iter().map(|(key, instances)| earlier(key, instances)).collect();

    let (close, closing) = watch::channel(false);
    let serving = requests.spawn(router.serve(closed(closing.clone())));
    let reconciling = tokio::spawn(reconcile::run(Arc::clone(&hub), closing.clone()));
    let keeping = tokio::spawn(keep::run(Arc::clone(&hub), closing.clone()));
    let core = Arc::new(Service::new(Arc::clone(&hub)));
    let answering = tokio::spawn(api.serve(core, config.token.clone(), closing));
    announce(&hub.facts.api_url, &http.to_string(), engine.name());

    terminated().await?;
    tracing::info!("ending");
    close.send_replace(true);
    hub.close();
    // The loop first, so that nothing is ordered any more; then the router drains what is in flight.
    let _ = reconciling.await;
    let _ = keeping.await;
    if config.ephemeral {
        engine.teardown().await?;
    }
    engine.close().await;
    let _ = serving.await;
    let _ = answering.await;
    remove_socket(&config.api);
    if config.ephemeral {
        drop((hub, engine));
        remove_data(&config.data_dir)?;
    }
    drop(lock);
    Ok(())
}

pub(crate) fn store_path(data_dir: &Path) -> PathBuf {
    data_dir.join("tapit.db")
}

/// Without its database a server would take every instance for a stranger's and stop it. On ECS they leave no trace here but
/// that note, which is written after the database.
fn refuse_lost_store(data_dir: &Path) -> Result<(), ServerError> {
    let instances = std::fs::read_dir(data_dir.join("instances")).is_ok_and(|mut apps| apps.next().is_some());
    let on_ecs = engine::held(data_dir)? == Some(EngineKind::Ecs);
    if (instances || on_ecs) && !store_path(data_dir).exists() {
        return Err(ServerError::LostStore { path: store_path(data_dir) });
    }
    Ok(())
}

/// Uploads that a killed server left.
fn empty_spool(data_dir: &Path) -> Result<(), ServerError> {
    let path = data_dir.join("spool");
    match std::fs::remove_dir_all(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(ServerError::DataDir { path, source }),
        Ok(()) | Err(_) => Ok(()),
    }
}

async fn open_engine(config: &Config, router: &Router) -> Result<SharedEngine, ServerError> {
    let traffic = Arc::new(RouterTraffic::new(router.handle()));
    let engine = engine::open(&config.engine, &config.data_dir, traffic).await?;
    for warning in engine.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(engine)
}

/// Bytes that images may take; `None`: no bound.
fn images_disk(config: &Config) -> Result<Option<u64>, ServerError> {
    match config.images_disk {
        ImagesDisk::Unbounded => Ok(None),
        ImagesDisk::Bytes(bytes) => Ok(Some(bytes)),
        ImagesDisk::Half => {
            let path = &config.data_dir;
            let failed = |error: nix::Error| ServerError::DataDir { path: path.clone(), source: error.into() };
            let system = nix::sys::statvfs::statvfs(path).map_err(failed)?;
            Ok(Some(system.blocks() * system.fragment_size() / 2))
        }
    }
}

fn earlier(key: tapit_model::ProcessKey, instances: Vec<tapit_model::InstanceObserved>) -> ProcessObserved {
    let seen_at = tapit_model::Moment::default();
    ProcessObserved { key, revision: Revision(0), instances, blocked: Vec::new(), failure: None, seen_at }
}

/// Marks a data directory that was made by a server, not by its user: it goes when its contents go.
const MADE: &str = "made-by-tapit";

fn make_data_dir(dir: &Path) -> Result<(), ServerError> {
    let failed = |source| ServerError::DataDir { path: dir.to_owned(), source };
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    std::fs::write(dir.join(MADE), "").map_err(failed)
}

/// Everything that a server keeps in its data directory; the directory itself goes when a server made it and nothing else
/// is in it.
pub(crate) fn remove_data(dir: &Path) -> Result<(), ServerError> {
    let failed = |path: &Path, source| ServerError::DataDir { path: path.to_owned(), source };
    let made = dir.join(MADE).exists();
    for name in ["tapit.db", "tapit.db-wal", "tapit.db-shm", "tapit.sock", "network.json", engine::FILE, "lock", MADE] {
        let path = dir.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&path, error)),
            Ok(()) | Err(_) => {}
        }
    }
    for name in ["instances", "images", "spool", "ecs"] {
        let path = dir.join(name);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&path, error)),
            Ok(()) | Err(_) => {}
        }
    }
    let empty = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
    if empty && made {
        std::fs::remove_dir(dir).map_err(|error| failed(dir, error))?;
    }
    Ok(())
}

enum Api {
    Unix(PathBuf, UnixListener),
    Tcp(std::net::SocketAddr, TcpListener),
}

impl Api {
    fn bind(address: &ApiAddress) -> Result<Self, ServerError> {
        match address {
            ApiAddress::Unix(path) => {
                let failed = |source| ServerError::Api { address: path.display().to_string(), source };
                // The lock on the data directory is held, so a socket there is one that a killed server left.
                match std::fs::remove_file(path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
                    Ok(()) | Err(_) => {}
                }
                let listener = UnixListener::bind(path).map_err(failed)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
                Ok(Api::Unix(path.clone(), listener))
            }
            ApiAddress::Tcp(addr) => {
                let failed = |source| ServerError::Api { address: addr.to_string(), source };
                let listener = std::net::TcpListener::bind(addr).map_err(failed)?;
                listener.set_nonblocking(true).map_err(failed)?;
                let bound = listener.local_addr().map_err(failed)?;
                Ok(Api::Tcp(bound, TcpListener::from_std(listener).map_err(failed)?))
            }
        }
    }

    fn url(&self) -> String {
        match self {
            Api::Unix(path, _) => format!("unix://{}", path.display()),
            Api::Tcp(addr, _) => format!("http://{addr}"),
        }
    }

    async fn serve(self, core: Arc<Service>, token: Option<String>, closing: watch::Receiver<bool>) {
        match self {
            Api::Unix(_, listener) => api::serve_unix(listener, core, closed(closing)).await,
            Api::Tcp(_, listener) => api::serve_tcp(listener, core, token, closed(closing)).await,
        }
    }
}

fn remove_socket(address: &ApiAddress) {
    if let ApiAddress::Unix(path) = address
        && let Err(error) = std::fs::remove_file(path)
    {
        tracing::warn!(socket = %path.display(), %error, "removing the API's socket");
    }
}

/// The one line on stdout that says that the server is ready.
fn announce(api: &str, http: &str, engine: &str) {
    let mut stdout = std::io::stdout();
    let line = writeln!(stdout, "tapit ready api={api} http={http} engine={engine}").and_then(|()| stdout.flush());
    if let Err(error) = line {
        tracing::warn!(%error, "nobody reads the ready line");
    }
}

async fn closed(mut closing: watch::Receiver<bool>) {
    // A dropped sender means that the server is ending as well.
    let _ = closing.wait_for(|closing| *closing).await;
}

async fn terminated() -> Result<(), ServerError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServerError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServerError::Runtime)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// A refusal for an error of the server, for commands that run without one.
pub(crate) fn refusal(error: &ServerError) -> Refusal {
    Refusal::failed(describe(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_gone_is_told_where_instances_may_run_without_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let lost = || matches!(refuse_lost_store(dir.path()), Err(ServerError::LostStore { .. }));
        assert!(!lost(), "nothing was there");
        std::fs::write(dir.path().join(engine::FILE), r#"{"engine":"embedded"}"#).expect("written");
        assert!(!lost(), "nothing ran");
        std::fs::write(dir.path().join(engine::FILE), r#"{"engine":"ecs"}"#).expect("written");
        assert!(lost(), "nobody here can tell what runs there");
        std::fs::write(store_path(dir.path()), "").expect("written");
        assert!(!lost(), "it is there");
        std::fs::remove_file(store_path(dir.path())).expect("removed");
        std::fs::remove_file(dir.path().join(engine::FILE)).expect("removed");
        std::fs::create_dir_all(dir.path().join("instances/shop")).expect("made");
        assert!(lost(), "containers are there");
    }
}
