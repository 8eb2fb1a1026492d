//! The meter in front of an account that answers by a script, in time that passes at once.

use std::collections::VecDeque;

use super::*;

/// Answers with the faults of a script, and after them well.
#[derive(Debug, Default)]
struct Scripted {
    faults: Mutex<VecDeque<ApiFault>>,
    /// When each call came, since `begun`.
    calls: Mutex<Vec<(Operation, Duration)>>,
    begun: Option<Instant>,
}

#[async_trait]
impl EcsApi for Scripted {
    async fn call(&self, request: Request) -> Result<Answer, ApiError> {
        let operation = request.operation();
        let at = self.begun.map(|begun| begun.elapsed()).unwrap_or_default();
        self.calls.lock().expect("calls").push((operation, at));
        match self.faults.lock().expect("faults").pop_front() {
            Some(fault) => Err(ApiError { operation, fault, text: "as the script says".to_owned() }),
            None => Ok(Answer::Done),
        }
    }
}

fn metered(faults: &[ApiFault]) -> Arc<Metered<Arc<Scripted>>> {
    let scripted = Scripted {
        faults: Mutex::new(faults.iter().copied().collect()),
        begun: Some(Instant::now()),
        ..Scripted::default()
    };
    Arc::new(Metered::new(Arc::new(scripted)))
}

impl Metered<Arc<Scripted>> {
    fn times(&self) -> Vec<Duration> {
        self.inner.calls.lock().expect("calls").iter().map(|(_, at)| *at).collect()
    }
}

fn list() -> Request {
    Request::ListServices { cluster: "c".to_owned(), next: None }
}

fn delete() -> Request {
    Request::DeleteCluster { name: "c".to_owned() }
}

fn register() -> Request {
    let container = crate::api::Container {
        name: "web".to_owned(),
        image: "i".to_owned(),
        command: Vec::new(),
        environment: Default::default(),
        port: None,
        stop_timeout: 30,
        cap_add: Vec::new(),
        log_group: "g".to_owned(),
        log_region: "r".to_owned(),
        log_prefix: "p".to_owned(),
        labels: Default::default(),
    };
    Request::RegisterTaskDefinition(Box::new(crate::api::NewTaskDefinition {
        family: "f".to_owned(),
        cpu: 256,
        memory_mib: 512,
        execution_role: None,
        task_role: None,
        container,
        tags: Default::default(),
    }))
}

#[tokio::test(start_paused = true)]
async fn a_throttled_call_is_repeated_until_it_succeeds_and_each_try_counts() {
    let meter = metered(&[ApiFault::Throttled, ApiFault::Unavailable]);
    assert_eq!(meter.call(list()).await, Ok(Answer::Done));
    let count = meter.counts().of(Operation::ListServices);
    assert_eq!(count, Count { sent: 3, throttled: 1, failed: 1 });
}

#[tokio::test(start_paused = true)]
async fn after_four_tries_the_last_error_is_told() {
    let meter = metered(&[ApiFault::Throttled; 10]);
    let error = meter.call(list()).await.expect_err("throttled for good");
    assert_eq!(error.fault, ApiFault::Throttled);
    let times = meter.times();
    assert_eq!(times.len(), 4);
    let pauses: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[0] >= Duration::from_millis(400) && pauses[2] >= Duration::from_millis(1_600), "{pauses:?}");
    assert!(times[3] < Duration::from_secs(10), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_does_not_pass_by_itself_is_told_at_once() {
    for fault in [
        ApiFault::NotFound,
        ApiFault::AlreadyExists,
        ApiFault::InUse,
        ApiFault::NotActive,
        ApiFault::Denied,
        ApiFault::Credentials,
        ApiFault::Quota,
        ApiFault::Capacity,
        ApiFault::Invalid,
    ] {
        let meter = metered(&[fault]);
        assert_eq!(meter.call(list()).await.expect_err("as scripted").fault, fault);
        assert_eq!(meter.counts().total(), 1, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_registration_that_may_have_been_carried_out_is_not_repeated() {
    let meter = metered(&[ApiFault::Unavailable]);
    assert_eq!(meter.call(register()).await.expect_err("as scripted").fault, ApiFault::Unavailable);
    assert_eq!(meter.counts().total(), 1);

    let meter = metered(&[ApiFault::Throttled]);
    assert_eq!(meter.call(register()).await, Ok(Answer::Done), "a throttled one was not carried out");
    assert_eq!(meter.counts().total(), 2);
}

/// So many calls at once; how many of them succeeded.
async fn storm(meter: &Arc<Metered<Arc<Scripted>>>, calls: usize, request: Request) -> usize {
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..calls {
        let (meter, request) = (Arc::clone(meter), request.clone());
        running.spawn(async move { meter.call(request).await.is_ok() });
    }
    running.join_all().await.into_iter().filter(|ok| *ok).count()
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_calls_keeps_to_the_rate_that_aws_allows() {
    let meter = metered(&[]);
    assert_eq!(storm(&meter, 400, list()).await, 400);
    let times = meter.times();
    for (at, begin) in times.iter().enumerate() {
        let within = |seconds: u64| {
            times[at..].iter().take_while(|time| **time < *begin + Duration::from_secs(seconds)).count() as f64
        };
        for seconds in [1, 5, 20] {
            let allowed = 100.0 + 20.0 * seconds as f64;
            assert!(within(seconds) <= allowed, "{} calls within {seconds} s", within(seconds));
        }
    }
    assert!(times[399] < Duration::from_secs(25), "and not much slower: {:?}", times[399]);
}

#[tokio::test(start_paused = true)]
async fn one_class_does_not_wait_for_another() {
    let meter = metered(&[]);
    storm(&meter, 16, delete()).await;
    let before = Instant::now();
    meter.call(list()).await.expect("a free class");
    assert_eq!(before.elapsed(), Duration::ZERO);
    meter.call(delete()).await.expect("after its turn");
    assert!(before.elapsed() > Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_for_longer_than_a_minute_is_told_so() {
    let meter = metered(&[]);
    let well = storm(&meter, 200, delete()).await;
    assert!((60..80).contains(&well), "{well} of 200 within the burst and the tries' waits");
    assert_eq!(meter.counts().of(Operation::DeleteCluster).sent, well as u64, "the others were never sent");
}

#[tokio::test(start_paused = true)]
async fn after_a_throttled_call_others_are_slower_for_a_while() {
    let meter = metered(&[ApiFault::Throttled]);
    meter.call(list()).await.expect("repeated");
    let before = Instant::now();
    storm(&meter, 50, list()).await;
    let slow = before.elapsed();
    assert!(slow > Duration::from_secs(4), "50 calls at 8 instead of 16 a second, without a burst: {slow:?}");
    tokio::time::sleep(Duration::from_secs(120)).await;
    let before = Instant::now();
    storm(&meter, 50, list()).await;
    assert_eq!(before.elapsed(), Duration::ZERO);
}
