//! A server without a process of its own: a store in a temporary directory, a router on a free port, the reconcile loop,
//! and an engine in memory whose time passes only while a test waits.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tapit_engine::Engine;
use tapit_engine::fake::{Fake, Script};
use tapit_model::{
    AppName, EventView, ImageRef, InstanceView, MemoryMib, Outcome, ProcessName, ProcessPatch, ProcessView, Progress,
    Refusal, Request, Timestamp, Words,
};
use tapit_router::Router;
use tapit_store::{EventFilter, Store};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::Core;
use crate::hub::{Facts, Hub};
use crate::ledger::Ledger;
use crate::reconcile;
use crate::server::store_path;
use crate::service::Service;
use crate::traffic::RouterTraffic;

/// Looks before a wait is given up; a tick of the engine passes between two of them.
const PATIENCE: u32 = 1_000;
/// For one pass of the loop; reached only by a test that fails.
const PASS: Duration = Duration::from_secs(20);

pub struct Stage {
    data: tempfile::TempDir,
    pub fake: Arc<Fake>,
    pub server: Server,
}

pub struct Server {
    pub hub: Arc<Hub>,
    pub core: Service,
    close: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

pub fn app(name: &str) -> AppName {
    AppName::parse(name).expect("a legal name")
}

pub fn process(name: &str) -> ProcessName {
    ProcessName::parse(name).expect("a legal name")
}

pub fn image(name: &str) -> ImageRef {
    ImageRef::parse(name).expect("a legal name")
}

fn patch(words: &[(&str, &str)], create: bool) -> ProcessPatch {
    let words: Words = words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ProcessPatch::parse(&words, create).expect("legal words")
}

pub fn create_app(name: &str, words: &[(&str, &str)]) -> Request {
    Request::CreateApp { app: app(name), image: Some(image("shop:1")), patch: patch(words, true) }
}

pub fn create(name: &str, words: &[(&str, &str)]) -> Request {
    Request::CreateProcess { app: app("shop"), process: process(name), patch: patch(words, true) }
}

pub fn set(name: &str, words: &[(&str, &str)]) -> Request {
    Request::SetProcess { app: app("shop"), process: process(name), patch: patch(words, false) }
}

pub fn create_task(words: &[(&str, &str)]) -> Request {
    Request::CreateTask { app: app("shop"), patch: patch(words, true) }
}

pub fn set_image(name: &str) -> Request {
    Request::SetApp { app: app("shop"), image: Some(Some(image(name))) }
}

impl Stage {
    /// Runs with `shop:1` on the shelf.
    pub async fn open() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let router = Router::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let traffic = Arc::new(RouterTraffic::new(router.handle()));
        let fake = Fake::new(MemoryMib::from_mib(16 * 1024), traffic);
        fake.put_image(&image("shop:1"), Script::healthy());
        let server = Server::start(data.path(), &fake, router).await;
        Self { data, fake, server }
    }

    /// The server dies, and another one starts on what it has left.
    pub async fn restart(&mut self) {
        self.server.stop().await;
        let router = Router::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        self.fake = self.fake.restarted(Arc::new(RouterTraffic::new(router.handle())));
        // The store is closed with the last hold on it.
        let stopped = std::mem::replace(&mut self.server, Server::start(self.data.path(), &self.fake, router).await);
        drop(stopped);
    }

    pub async fn submit(&self, request: Request) -> Outcome {
        self.try_submit(request).await.expect("admitted")
    }

    pub async fn try_submit(&self, request: Request) -> Result<Outcome, Refusal> {
        self.server.core.submit(request, false).await
    }

    /// Waits for the end of a pass of the loop that began after this call: the first end that is seen may be that of one
    /// that was under way.
    pub async fn full_pass(&self) {
        let mut passes = self.server.hub.passes();
        for _ in 0..2 {
            passes.mark_unchanged();
            self.server.hub.nudge();
            let passed = tokio::time::timeout(PASS, passes.changed()).await;
            passed.expect("the loop makes a pass in time").expect("the hub is there");
        }
    }

    /// Lets time pass until it is so; the server sees every tick.
    pub async fn until(&self, what: &str, wanted: impl AsyncFn(&Stage) -> bool) {
        for _ in 0..PATIENCE {
            if wanted(self).await {
                return;
            }
            self.fake.tick();
            self.full_pass().await;
        }
        let processes = self.server.core.processes(&app("shop")).await;
        panic!("it does not come so far: {what}; the processes are {processes:#?}");
    }

    /// Submits, and waits for the outcome as `--wait` does.
    pub async fn settle(&self, request: Request) -> Progress {
        let (app, process) = match &request {
            Request::CreateApp { app, .. }
            | Request::SetApp { app, .. }
            | Request::DeleteApp { app }
            | Request::CreateTask { app, .. } => (app.clone(), None),
            Request::StopTask { app, task } => (app.clone(), Some(task.process())),
            Request::CreateProcess { app, process, .. }
            | Request::SetProcess { app, process, .. }
            | Request::RestartProcess { app, process }
            | Request::DeleteProcess { app, process } => (app.clone(), Some(process.clone())),
        };
        let revision = self.submit(request).await.revision;
        self.settled(&app, process.as_ref(), revision).await
    }

    pub async fn settled(&self, app: &AppName, process: Option<&ProcessName>, revision: u64) -> Progress {
        let ask = async || {
            let progress = self.server.core.settled(app, process, revision, Duration::ZERO).await;
            progress.expect("answers")
        };
        self.until("settled", async |_| ask().await.settled).await;
        ask().await
    }

    pub async fn show(&self, name: &str) -> ProcessView {
        self.server.core.process(&app("shop"), &process(name)).await.expect("is there")
    }

    pub async fn status(&self, name: &str) -> String {
        self.show(name).await.status
    }

    /// Of one app, oldest first.
    pub async fn events(&self, name: &str) -> Vec<EventView> {
        let filter = EventFilter { app: Some(app(name)), process: None, after_id: Some(0), limit: 1000 };
        self.server.core.events(filter).await.expect("readable")
    }

    /// What the engine holds of the app's processes.
    pub async fn engine_holds(&self) -> Vec<String> {
        let observed = self.fake.observe().await.expect("can be looked at");
        observed.into_iter().map(|process| process.key.to_string()).collect()
    }
}

pub fn healthy(view: &ProcessView) -> Vec<String> {
    let healthy = view.instances.iter().filter(|instance: &&InstanceView| instance.state == "healthy");
    healthy.map(|instance| instance.id.clone()).collect()
}

impl Server {
    async fn start(data: &std::path::Path, fake: &Arc<Fake>, router: Router) -> Self {
        let store = Store::open(&store_path(data)).expect("opens");
        let ledger = Ledger::open(store).expect("loads");
        fake.adopt(ledger.read(reconcile::initial_targets)).await.expect("adopts");
        let facts = Facts {
            api_url: "unix:///none".to_owned(),
            http: router.local_addr(),
            data_dir: data.to_owned(),
            started_at: Timestamp(0),
            images_disk: None,
        };
        let engine: tapit_engine::SharedEngine = Arc::clone(fake) as _;
        let hub = Arc::new(Hub::new(facts, ledger, engine, router.handle()));
        let (close, closing) = watch::channel(false);
        let mut routing = closing.clone();
        let closed = async move {
            // A dropped sender ends it as well.
            let _ = routing.wait_for(|closing| *closing).await;
        };
        let tasks = vec![tokio::spawn(router.serve(closed)), tokio::spawn(reconcile::run(Arc::clone(&hub), closing))];
        Self { core: Service::new(Arc::clone(&hub)), hub, close, tasks }
    }

    async fn stop(&mut self) {
        self.close.send_replace(true);
        for task in self.tasks.drain(..) {
            task.await.expect("ends");
        }
    }
}
