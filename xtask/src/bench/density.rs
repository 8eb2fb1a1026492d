//! `bench density`: many idle instances at once, from the command to all of them, what they cost, and back to none.

use std::time::{Duration, Instant};

use super::memory::{self, Objects};
use super::rig::Rig;
use super::{Bench, BenchError, IDLE_IMAGE, table};

const COUNTS: [usize; 2] = [200, 500];
const PATIENCE: Duration = Duration::from_secs(180);
const SETTLE: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(50);

pub fn run(bench: &Bench) -> Result<(), BenchError> {
    for count in COUNTS {
        one(bench, count)?;
    }
    Ok(())
}

fn one(bench: &Bench, count: usize) -> Result<(), BenchError> {
    let rig = Rig::start(bench.root)?;
    let (data, tag) = (rig.data(), rig.tag()?);
    rig.tapit(&format!(
        "create app many image={IDLE_IMAGE} memory=16M cpu=0.05 demand=1 min_healthy_time=0 port=none --wait"
    ))?;
    // The network of the app and what is kept ready for it come with its first instance.
    std::thread::sleep(SETTLE);
    let before = Objects::of(&data, &tag);
    let few = containers(&tag);
    let cpu = || rig.server_cpu();
    let (begun, cpu_before) = (Instant::now(), cpu()?);
    rig.tapit(&format!("-a many set process demand={count}"))?;
    let accepted = begun.elapsed();
    until(&format!("{count} containers"), || containers(&tag) >= count)?;
    let started = begun.elapsed();
    until(&format!("{count} healthy"), || rig.healthy("many").is_ok_and(|healthy| healthy == count))?;
    let healthy = begun.elapsed();
    let cpu_up = cpu()? - cpu_before;
    let memory = memory::measure(rig.server_pid(), &data, &tag)?;
    let during = Objects::of(&data, &tag);
    let (begun, cpu_before) = (Instant::now(), cpu()?);
    rig.tapit("-a many set process demand=1")?;
    until("few containers", || containers(&tag) <= few)?;
    let gone = begun.elapsed();
    until("few interfaces", || Objects::of(&data, &tag).interfaces <= before.interfaces)?;
    let clean = begun.elapsed();
    let cpu_down = cpu()? - cpu_before;
    rig.tapit("-a many delete app --force --wait")?;
    let after = Objects::of(&data, &tag);
    let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
    let kib = |kib: u64| format!("{:.1} MB", kib as f64 / 1024.0);
    table::figures(
        &format!("{count} idle instances"),
        &[
            ("command accepted".to_owned(), seconds(accepted)),
            ("all containers there".to_owned(), seconds(started)),
            ("all healthy".to_owned(), seconds(healthy)),
            ("cpu of the server for it".to_owned(), format!("{cpu_up:.2} s")),
            ("server, resident".to_owned(), kib(memory.server_rss)),
            ("server, proportional".to_owned(), kib(memory.server_pss)),
            (
                format!("our processes per instance, proportional ({} seen)", memory.instances),
                format!("{:.0} kB", memory.beside as f64 / memory.instances.max(1) as f64),
            ),
            ("back to one: containers gone".to_owned(), seconds(gone)),
            ("back to one: interfaces gone".to_owned(), seconds(clean)),
            ("cpu of the server for it".to_owned(), format!("{cpu_down:.2} s")),
        ],
    );
    println!("before {before}\nduring {during}\nafter  {after}");
    Ok(())
}

/// By their cgroups, which costs the server nothing.
pub fn containers(tag: &str) -> usize {
    let own = ["memory", "system.slice/tapit.service", ""];
    let parents = own.map(|name| std::path::Path::new("/sys/fs/cgroup").join(name).join(format!("tapit-{tag}")));
    let children = |path: &std::path::PathBuf| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).count()
    };
    parents.iter().map(children).max().unwrap_or(0)
}

pub fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<(), BenchError> {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() >= end {
            return Err(BenchError::Late { what: what.to_owned(), seen: "not yet".to_owned() });
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
