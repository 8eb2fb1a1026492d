//! How many calls to AWS each operation takes, as a table that `docs/ecs.md` shows. It fails as soon as the engine makes
//! another number of calls than is documented; `--nocapture` prints the table as it is.

#[path = "../support/paused.rs"]
mod paused;
mod scenes;
mod table;

/// The part of the page that the table is in.
const SECTION: &str = "\n## Calls\n";

#[test]
fn the_calls_of_each_operation_are_those_that_the_docs_tell() {
    let (operations, idle) = (paused(scenes::operations()), paused(scenes::idle()));
    println!("{operations}\n{idle}");
    let docs = include_str!("../../../../docs/ecs.md");
    let section = docs.split_once(SECTION).map(|(_, section)| section).expect("docs/ecs.md tells of calls");
    let section = section.split("\n##").next().unwrap_or_default();
    let told: Vec<&str> = section.lines().filter(|line| line.starts_with('|')).collect();
    let made: Vec<&str> = operations.lines().chain(idle.lines()).collect();
    for line in &made {
        assert!(told.contains(line), "docs/ecs.md does not tell:\n{line}");
    }
    assert_eq!(told, made);
}

#[test]
fn what_only_reads_asks_nothing_of_aws() {
    assert_eq!(paused(scenes::reading()), Vec::<String>::new());
}

/// Alone on its thread, in time that only moves when everything waits.
fn paused<T>(scene: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(scene)
}
