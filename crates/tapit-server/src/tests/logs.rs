//! Logs: what was written, what is written, and a reader that comes back.

use futures_util::StreamExt;
use tapit_engine::fake::Script;
use tapit_model::{Code, InstanceId, InstanceKey, LogLineView, Refusal, Request, Since, Timestamp};

use super::stage::{Stage, app, create, create_app, healthy, image, process};
use crate::api::{Core, LogPage, LogPages, LogQuery, LogTime};
use crate::service::Service;

fn query() -> LogQuery {
    LogQuery { app: app("shop"), process: None, instance: None, lines: 100, since: None, time: LogTime::Past }
}

fn following(lines: usize) -> LogQuery {
    LogQuery { lines, time: LogTime::Onwards { resume: None }, ..query() }
}

fn of(name: &str, query: LogQuery) -> LogQuery {
    LogQuery { process: Some(process(name)), ..query }
}

fn key(id: &str) -> InstanceKey {
    InstanceKey { app: app("shop"), id: InstanceId::opaque(id) }
}

/// `web.1 text`, one each.
fn told(lines: &[LogLineView]) -> Vec<String> {
    lines.iter().map(|line| format!("{} {}", line.instance, line.text)).collect()
}

/// A reader that keeps where to go on.
struct Reader {
    pages: LogPages,
    resume: Option<String>,
}

impl Reader {
    async fn open(core: &Service, query: LogQuery) -> Self {
        Self { pages: core.logs(query).await.unwrap_or_else(|refusal| panic!("{refusal}")), resume: None }
    }

    async fn page(&mut self) -> Option<LogPage> {
        let page = tokio::time::timeout(std::time::Duration::from_secs(10), self.pages.next()).await;
        let page = page.expect("a page in time")?.expect("the stream goes on");
        self.resume = page.resume.clone().or(self.resume.take());
        Some(page)
    }

    /// Reads until so many lines came.
    async fn lines(&mut self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.len() < count {
            lines.extend(told(&self.page().await.expect("more lines").lines));
        }
        lines
    }

    async fn rest(mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(page) = self.page().await {
            lines.extend(told(&page.lines));
        }
        lines
    }
}

async fn past(stage: &Stage, query: LogQuery) -> Vec<String> {
    Reader::open(&stage.server.core, query).await.rest().await
}

/// `default` with one instance and `api` with two, each of which wrote two lines at its start.
async fn shop() -> Stage {
    let stage = Stage::open().await;
    stage.fake.put_image(&image("shop:1"), Script::healthy().logs(&["a", "b"]));
    stage.settle(create_app("shop", &[])).await;
    stage.settle(create("api", &[("demand", "2")])).await;
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_lines_of_all_processes_are_merged_by_time() {
    let stage = shop().await;
    stage.fake.tick();
    assert!(stage.fake.write(&key("api.2"), "late"));
    stage.fake.tick();
    assert!(stage.fake.write(&key("default.1"), "later"));
    let all = past(&stage, query()).await;
    assert_eq!(all.len(), 8);
    assert_eq!(all[..2], ["default.1 a", "default.1 b"]);
    assert_eq!(all[6..], ["api.2 late", "default.1 later"]);
    assert_eq!(past(&stage, LogQuery { lines: 2, ..query() }).await, all[6..]);
    assert_eq!(past(&stage, of("api", query())).await.len(), 5);
    let one = LogQuery { instance: Some(InstanceId::opaque("api.2")), ..query() };
    assert_eq!(past(&stage, one).await, ["api.2 a", "api.2 b", "api.2 late"]);
    assert!(past(&stage, LogQuery { since: Some(Since::Ago(0)), ..query() }).await.is_empty());
    assert_eq!(past(&stage, LogQuery { since: Some(Since::At(Timestamp(0))), ..query() }).await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_refused_with_what_is() {
    let stage = shop().await;
    let refused = async |query: LogQuery| -> Refusal { stage.server.core.logs(query).await.err().expect("refused") };
    let none = refused(of("apo", query())).await;
    assert_eq!(none.code, Code::NotFound);
    assert!(none.message.contains("did you mean api?"), "{none}");
    let none = refused(LogQuery { instance: Some(InstanceId::opaque("api.3")), ..query() }).await;
    assert_eq!(none.code, Code::NotFound);
    assert!(none.message.contains("did you mean api.") && none.message.contains("api.1, api.2"), "{none}");
    let of_other = of("default", LogQuery { instance: Some(InstanceId::opaque("api.1")), ..query() });
    assert!(refused(of_other).await.message.contains("process default has no instance api.1"));
    let nonsense = LogQuery { time: LogTime::Onwards { resume: Some("nonsense".to_owned()) }, ..query() };
    assert_eq!(refused(nonsense).await.code, Code::Usage);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_sees_what_is_written_also_by_instances_that_come_later() {
    let stage = shop().await;
    let mut reader = Reader::open(&stage.server.core, of("default", following(1))).await;
    assert_eq!(reader.lines(1).await, ["default.1 b"]);
    stage.fake.write(&key("default.1"), "c");
    stage.fake.write(&key("api.1"), "not asked for");
    assert_eq!(reader.lines(1).await, ["default.1 c"]);
    stage.settle(Request::RestartProcess { app: app("shop"), process: process("default") }).await;
    assert_eq!(reader.lines(2).await, ["default.2 a", "default.2 b"]);
    stage.fake.write(&key("default.2"), "d");
    assert_eq!(reader.lines(1).await, ["default.2 d"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_without_history_sees_new_lines_only() {
    let stage = shop().await;
    let mut reader = Reader::open(&stage.server.core, following(0)).await;
    assert!(reader.page().await.expect("where to go on").resume.is_some());
    stage.fake.write(&key("api.1"), "new");
    assert_eq!(reader.lines(1).await, ["api.1 new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_read_in_pages_without_a_gap_while_others_are_read_too() {
    let stage = shop().await;
    let mut reader = Reader::open(&stage.server.core, of("api", following(0))).await;
    reader.page().await;
    for n in 0..5000 {
        stage.fake.write(&key("api.1"), &n.to_string());
    }
    stage.fake.write(&key("api.2"), "beside it");
    let lines = reader.lines(5001).await;
    let flood: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("api.1 ")).collect();
    assert_eq!(flood, (0..5000).map(|n| n.to_string()).collect::<Vec<_>>());
    let beside = lines.iter().position(|line| line == "api.2 beside it").expect("is there");
    assert!(beside < 1500, "it had to wait for {beside} lines");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_goes_on_with_the_next_server_where_it_was() {
    let mut stage = shop().await;
    let mut reader = Reader::open(&stage.server.core, of("api", following(100))).await;
    reader.lines(4).await;
    stage.fake.write(&key("api.1"), "one");
    assert_eq!(reader.lines(1).await, ["api.1 one"]);
    stage.fake.write(&key("api.2"), "two");
    let resume = reader.resume.take();
    stage.restart().await;
    stage.full_pass().await;
    stage.fake.write(&key("api.1"), "three");
    let again = LogQuery { time: LogTime::Onwards { resume }, ..of("api", query()) };
    let mut reader = Reader::open(&stage.server.core, again).await;
    let mut lines = reader.lines(2).await;
    lines.sort();
    assert_eq!(lines, ["api.1 three", "api.2 two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn following_ends_with_what_is_followed() {
    let stage = shop().await;
    let mut of_process = Reader::open(&stage.server.core, of("api", following(100))).await;
    let victim = healthy(&stage.show("api").await)[0].clone();
    let of_instance = LogQuery { instance: Some(InstanceId::opaque(&victim)), ..following(100) };
    let mut of_instance = Reader::open(&stage.server.core, of_instance).await;
    stage.fake.write(&key(&victim), "last words");
    assert_eq!(of_instance.lines(3).await[2], format!("{victim} last words"));
    assert_eq!(of_process.lines(5).await.len(), 5);
    stage.settle(Request::DeleteProcess { app: app("shop"), process: process("api") }).await;
    stage.until("the engine has forgotten it", async |stage| stage.engine_holds().await == ["shop/default"]).await;
    // The fake's time runs far faster than a follower looks, so it may only see that they are forgotten.
    for reader in [of_instance, of_process] {
        let rest = reader.rest().await;
        assert!(rest.iter().all(|line| line.contains("is forgotten")), "{rest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_reader_too_many_is_told_so_until_another_one_leaves() {
    let stage = shop().await;
    let mut readers = Vec::new();
    for _ in 0..64 {
        readers.push(stage.server.core.logs(following(0)).await.expect("a place"));
    }
    let refusal = stage.server.core.logs(query()).await.err().expect("no place");
    assert!(refusal.code == Code::Unavailable && refusal.message.contains("64 logs"), "{refusal}");
    readers.pop();
    assert!(stage.server.core.logs(query()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_cuts_its_followers_off() {
    let stage = shop().await;
    let mut reader = Reader::open(&stage.server.core, following(0)).await;
    reader.page().await;
    stage.server.hub.close();
    assert!(reader.pages.next().await.expect("an error").is_err());
    assert!(reader.pages.next().await.is_none());
}
