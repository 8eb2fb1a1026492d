//! From start to end: exit statuses, signals, orphans.

use tapit_container::instance::Signal;

use crate::host::Host;

#[tokio::test]
async fn a_program_runs_and_its_exit_status_is_known() {
    let host = Host::new();
    let (exit, texts) = host.run("echo out; echo err >&2; exit 3").await;
    assert_eq!((exit.code, exit.signal, exit.oom), (Some(3), None, false));
    assert!(texts.contains(&"out".to_owned()) && texts.contains(&"err".to_owned()), "{texts:?}");
}

#[tokio::test]
async fn a_stop_reaches_a_program_that_handles_no_signals() {
    let host = Host::new();
    let (dir, order) = host.order(&["sleep", "1000"]);
    let instance = host.start(dir, order).await;
    instance.running.signal(Signal::Stop).expect("signals");
    let exit = instance.exit().await;
    assert_eq!((exit.code, exit.signal), (Some(143), Some(15)));
}
