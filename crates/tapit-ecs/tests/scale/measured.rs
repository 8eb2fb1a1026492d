//! What the engine itself costs of this machine, for `cargo xtask bench ecs`: ignored otherwise, as it means something only
//! in a release build, alone.
//!
//! The account is in this process as well. Its work is measured with each call and taken off; its memory was there before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use tapit_ecs::api::{Answer, ApiError, EcsApi, Request};
use tapit_ecs::meter::Metered;
use tapit_ecs::sim::Account;
use tapit_engine::Engine;
use tokio::time::sleep;

use crate::town::Town;

const ROUNDS: usize = 5;
/// At once, so that memory which one has given back is not what the next is measured by.
const ENGINES: usize = 4;
/// For a pass over 200 apps and 2,000 processes.
const CPU_AT_MOST: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
#[ignore = "figures of a release build, for cargo xtask bench ecs"]
async fn cpu_and_memory_of_a_pass() {
    let town = Town::made().await;
    for _ in 0..ROUNDS {
        let (api, account_took) = timed(&town);
        let engine = town.bed.engine_over(api).await;
        let (before, account_before) = (cpu(), account_took.load(Ordering::Relaxed));
        town.adopted(&engine).await;
        let first = ours((before, cpu()), (account_before, account_took.load(Ordering::Relaxed)));
        sleep(Duration::from_secs(120)).await;
        let (before, account_before) = (cpu(), account_took.load(Ordering::Relaxed));
        sleep(Duration::from_secs(60)).await;
        let idle = ours((before, cpu()), (account_before, account_took.load(Ordering::Relaxed)));
        engine.close().await;
        assert!(first < CPU_AT_MOST && idle < CPU_AT_MOST, "{first:?}, {idle:?}");
        println!("figure pass {:.1}", first.as_secs_f64() * 1000.0);
        println!("figure idle {:.1}", idle.as_secs_f64() * 1000.0);
    }
    let before = resident_kib();
    let mut engines = Vec::new();
    for _ in 0..ENGINES {
        let engine = town.bed.engine().await;
        town.adopted(&engine).await;
        engines.push(engine);
    }
    let grown = resident_kib().saturating_sub(before);
    println!("figure memory {:.1}", grown as f64 / 1024.0 / ENGINES as f64);
    for engine in engines {
        engine.close().await;
    }
}

/// The way to the account that a server takes, and how many nanoseconds of cpu the account has taken.
fn timed(town: &Town) -> (Arc<Metered<Timed>>, Arc<AtomicU64>) {
    let took = Arc::new(AtomicU64::new(0));
    let timed = Timed { account: Arc::clone(&town.bed.account), took: Arc::clone(&took) };
    (Arc::new(Metered::new(timed)), took)
}

struct Timed {
    account: Arc<Account>,
    took: Arc<AtomicU64>,
}

#[async_trait]
impl EcsApi for Timed {
    /// The account never waits, so all of it happens on this thread at once.
    async fn call(&self, request: Request) -> Result<Answer, ApiError> {
        let before = thread_cpu();
        let answer = self.account.call(request).await;
        let took = u64::try_from(thread_cpu().saturating_sub(before).as_nanos()).unwrap_or(u64::MAX);
        self.took.fetch_add(took, Ordering::Relaxed);
        answer
    }
}

/// Of the whole process, without what the account took.
fn ours(whole: (Duration, Duration), account: (u64, u64)) -> Duration {
    (whole.1 - whole.0).saturating_sub(Duration::from_nanos(account.1 - account.0))
}

fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the kernel counts");
    Duration::new(time.tv_sec().unsigned_abs(), u32::try_from(time.tv_nsec()).unwrap_or(0))
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the kernel counts");
    let times = [usage.user_time(), usage.system_time()];
    times
        .iter()
        .map(|time| {
            Duration::from_secs(time.tv_sec().unsigned_abs()) + Duration::from_micros(time.tv_usec().unsigned_abs())
        })
        .sum()
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the kernel tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has a size");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}
