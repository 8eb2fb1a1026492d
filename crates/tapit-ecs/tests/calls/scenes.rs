//! What is done with a server while its calls are counted.

use std::sync::Arc;
use std::time::Duration;

use tapit_ecs::Ecs;
use tapit_ecs::sim::{Behaviour, End, Setup};
use tapit_engine::Engine;
use tapit_model::{
    AppName, Check, Formation, InstanceKey, InstanceState, Lifecycle, Presence, ProcessKey, ProcessTarget, Restart,
    Revision, Seconds,
};
use tokio::time::sleep;

use crate::paused::{Bed, formation, image, is_settled, key, until};
use crate::table::{self, Row};

const STEP: Duration = Duration::from_millis(500);
/// In which everything comes to rest.
const AFTER: Duration = Duration::from_secs(180);
const IDLE_MINUTES: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);

struct Scene {
    bed: Bed,
    engine: Arc<Ecs>,
    rows: Vec<Row>,
}

impl Scene {
    async fn open() -> Self {
        let bed = Bed::new(Setup::default());
        let engine = bed.engine().await;
        engine.adopt(Vec::new()).await.expect("adopts nothing");
        Self { bed, engine, rows: Vec::new() }
    }

    /// These processes are to be so, and come to be.
    async fn becomes(&mut self, what: &'static str, wanted: &[(ProcessKey, Formation)]) {
        let targets = wanted.iter().map(|(key, formation)| self.bed.present(key, formation)).collect();
        let engine = Arc::clone(&self.engine);
        let done = async || {
            let all = engine.observe().await.expect("can be looked at");
            wanted.iter().all(|(key, wanted)| all.iter().any(|seen| seen.key == *key && is_settled(seen, wanted)))
        };
        self.counted(what, targets, done).await;
    }

    /// This one runs, and has ended.
    async fn runs_once(&mut self, what: &'static str, key: &ProcessKey) {
        self.bed.account.behave(|_| Behaviour::serves().ends_after(MINUTE, End::Exit(0)));
        let (restart, check) = (Restart::Never, Check::Uptime(Seconds(0)));
        let wanted = Formation { restart, check, ..formation(key.process.as_str(), (1, 0)) };
        let engine = Arc::clone(&self.engine);
        let done = async || {
            let all = engine.observe().await.expect("can be looked at");
            let mut instances = all.iter().filter(|seen| seen.key == *key).flat_map(|seen| &seen.instances);
            instances.any(|one| one.state == InstanceState::Stopped)
        };
        self.counted(what, vec![self.bed.present(key, &wanted)], done).await;
    }

    async fn goes(&mut self, what: &'static str, keys: &[ProcessKey]) {
        let targets = keys.iter().map(|key| self.bed.target(key, Presence::Absent(Lifecycle::default()))).collect();
        let engine = Arc::clone(&self.engine);
        let done = async || {
            let all = engine.observe().await.expect("can be looked at");
            all.iter().all(|seen| !keys.contains(&seen.key))
        };
        self.counted(what, targets, done).await;
    }

    async fn counted(&mut self, what: &'static str, targets: Vec<ProcessTarget>, done: impl AsyncFnMut() -> bool) {
        self.bed.take_calls();
        for target in targets {
            self.engine.apply(target).await.expect("is taken");
        }
        until(what, STEP, done).await;
        let during = self.bed.take_calls();
        sleep(AFTER).await;
        self.rows.push(Row { what, during, after: self.bed.take_calls() });
    }
}

pub async fn operations() -> String {
    let mut scene = Scene::open().await;
    let (web, api) = (key("shop", "default"), key("shop", "api"));
    let web_of = |counts| formation("default", counts);
    let first = "create an app with a public process, the first of the account";
    scene.becomes(first, &[(web.clone(), web_of((2, 0)))]).await;
    scene.becomes("create a further process", &[(api.clone(), formation("api", (2, 0)))]).await;
    let again = Formation { generation: 2, ..web_of((2, 0)) };
    scene.becomes("restart a process, on demand", &[(web.clone(), again.clone())]).await;
    let spot = Formation { spot: 1, ..again.clone() };
    scene.becomes("first spot instance of a process", &[(web.clone(), spot.clone())]).await;
    let again = Formation { generation: 3, ..spot };
    scene.becomes("restart a process, on demand and spot", &[(web.clone(), again.clone())]).await;
    let more = Formation { demand: 3, ..again };
    scene.becomes("set demand_count", &[(web.clone(), more.clone())]).await;
    let none = Formation { demand: 0, spot: 0, ..more.clone() };
    scene.becomes("disable, on demand and spot", &[(web.clone(), none)]).await;
    scene.becomes("enable, on demand and spot", &[(web.clone(), more.clone())]).await;
    let new = Formation { generation: 4, image: image("app:v2"), ..more };
    scene.becomes("set image, on demand and spot", &[(web.clone(), new)]).await;
    scene.goes("delete a process", &[api]).await;
    scene.goes("delete an app of one process, on demand and spot", &[web]).await;
    // The account is prepared by now, and nothing else runs there.
    scene.becomes("create another app with a public process", &[(key("blog", "default"), web_of((2, 0)))]).await;
    scene.runs_once("run a one-off task that takes a minute, to its end", &key("blog", "task-1")).await;
    scene.engine.close().await;
    scene.rows.push(new_server().await);
    table::operations(&scene.rows)
}

async fn new_server() -> Row {
    let Scene { bed, engine, .. } = with_processes(10).await;
    let shown = engine.observe().await.expect("can be looked at");
    engine.close().await;
    let targets: Vec<_> =
        shown.iter().map(|seen| bed.present(&seen.key, &formation(seen.key.process.as_str(), (1, 0)))).collect();
    bed.take_calls();
    let engine = bed.engine().await;
    engine.adopt(targets).await.expect("adopts");
    until("all of it was looked at", STEP, async || {
        let all = engine.observe().await.expect("can be looked at");
        all.iter().all(|seen| seen.revision > Revision(10))
    })
    .await;
    let during = bed.take_calls();
    sleep(AFTER).await;
    let row = Row { what: "a server starts and finds an app of 10 processes", during, after: bed.take_calls() };
    engine.close().await;
    row
}

pub async fn idle() -> String {
    let mut rows = Vec::new();
    for processes in [1, 10, 50] {
        let scene = with_processes(processes).await;
        sleep(Duration::from_secs(60 * IDLE_MINUTES as u64)).await;
        rows.push((processes, scene.bed.take_calls()));
        scene.engine.close().await;
    }
    table::idle(&rows, IDLE_MINUTES)
}

/// The calls made meanwhile.
pub async fn reading() -> Vec<String> {
    let scene = with_processes(50).await;
    let engine = &scene.engine;
    let all = engine.observe().await.expect("can be looked at");
    assert_eq!(all.len(), 50);
    let app = AppName::parse("shop").expect("legal");
    assert!(engine.url(&app).is_some());
    engine.warnings();
    assert_eq!(engine.capacity(), None);
    let reads: Vec<_> = scene.bed.take_calls().iter().map(|made| made.request.operation().to_string()).collect();
    // A log is read where it is, one page for each instance.
    let id = all.iter().flat_map(|seen| &seen.instances).next().expect("an instance").id.clone();
    engine.log_tail(&InstanceKey { app, id }, 10).await.expect("is read");
    let logs: Vec<_> = scene.bed.take_calls().iter().map(|made| made.request.operation().to_string()).collect();
    assert_eq!(logs, ["logs:GetLogEvents"]);
    engine.close().await;
    reads
}

/// One app at rest.
async fn with_processes(count: usize) -> Scene {
    let mut scene = Scene::open().await;
    let names = (0..count).map(|n| if n == 0 { "default".to_owned() } else { format!("p{n}") });
    let wanted: Vec<_> = names.map(|name| (key("shop", &name), formation(&name, (1, 0)))).collect();
    scene.becomes("all of them run", &wanted).await;
    scene
}
