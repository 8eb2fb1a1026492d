//! `bench pull`: an image of about 300 MB from a registry on the loopback to a root file system on disk.
//!
//! Ours is the command line against a server with a fresh data directory; the others are `skopeo copy` with
//! `umoci raw unpack`, and `docker pull`. All of them begin with nothing and lie on one file system. Rounds are
//! interleaved. Ours ends when all is on disk for good; the others do not wait for the disk.

mod ground;
mod image;
mod registry;
mod server;

use std::process::Command;
use std::time::{Duration, Instant};

use super::docker::Docker;
use super::table::{self, Row};
use super::{Bench, BenchError, rig};
use crate::command::succeed;
use ground::Ground;
use registry::Registry;
use server::Server;

pub fn run(bench: &Bench) -> Result<(), BenchError> {
    let ground = Ground::make()?;
    let registry = Registry::start(&ground)?;
    let layout = ground.path("layout");
    let made = image::make(&layout).map_err(|source| BenchError::Image { source })?;
    registry.fill(&layout)?;
    let docker = Docker::launch(&ground.path(""))?;
    let mut stage = Stage { bench, ground: &ground, registry: &registry, docker: docker.as_ref() };
    let figures = stage.memory()?;
    let mut rows = [Row::new("tapit pull image"), Row::new("skopeo copy, umoci raw unpack"), Row::new("docker pull")];
    for _ in 0..bench.rounds {
        rows[0].values.push(super::millis(stage.ours()?));
        rows[1].values.push(super::millis(stage.tools()?));
        rows[2].values.extend(stage.docker()?.map(super::millis));
    }
    let (plain, packed) = (made.plain >> 20, made.packed >> 20);
    let title = format!("pull and unpack of {packed} MiB, {plain} MiB unpacked, {} files, 5 layers", made.files);
    table::print(&title, "ms", &rows);
    table::figures("pull: memory and requests of tapit", &figures);
    Ok(())
}

struct Stage<'a> {
    bench: &'a Bench<'a>,
    ground: &'a Ground,
    registry: &'a Registry,
    docker: Option<&'a Docker>,
}

impl Stage<'_> {
    fn server(&self) -> Result<Server, BenchError> {
        Server::start(&rig::release(self.bench.root), &self.ground.path("tapit"))
    }

    /// A round that is not timed, because looking takes time: memory, and what a second pull asks for.
    fn memory(&mut self) -> Result<Vec<(String, String)>, BenchError> {
        let server = self.server()?;
        let watch = server.watch();
        server.pull(&self.registry.image())?;
        let peak = watch.ended();
        let before = self.registry.blob_requests();
        server.pull(&self.registry.image())?;
        let again = self.registry.blob_requests() - before;
        let kib = |kib: u64| format!("{:.1} MB", kib as f64 * 1024.0 / 1e6);
        Ok(vec![
            ("server and helpers together, proportional, peak".to_owned(), kib(peak.together)),
            ("server, resident, peak".to_owned(), kib(peak.server)),
            ("largest helper, resident, peak".to_owned(), kib(peak.helper)),
            ("helpers at once".to_owned(), peak.helpers.to_string()),
            ("blobs fetched by the first pull".to_owned(), before.to_string()),
            ("blobs asked for by a second pull".to_owned(), again.to_string()),
        ])
    }

    fn ours(&mut self) -> Result<Duration, BenchError> {
        let server = self.server()?;
        self.timed(|stage| server.pull(&stage.registry.image()))
    }

    fn tools(&mut self) -> Result<Duration, BenchError> {
        let (layout, tree) = (self.ground.path("tools"), self.ground.path("tree"));
        let from = format!("docker://{}", self.registry.image());
        let image = format!("{}:v1", layout.display());
        let time = self.timed(|_| {
            let to = format!("oci:{image}");
            succeed(Command::new("skopeo").args(["copy", "--quiet", "--src-tls-verify=false", &from, &to]))?;
            succeed(Command::new("umoci").args(["raw", "unpack", "--image", &image]).arg(&tree))?;
            Ok(())
        });
        succeed(Command::new("rm").args(["--recursive", "--force"]).args([&layout, &tree]))?;
        time
    }

    fn docker(&mut self) -> Result<Option<Duration>, BenchError> {
        let Some(docker) = self.docker else { return Ok(None) };
        let image = self.registry.image();
        let time = self.timed(|_| docker.run(&["pull", "--quiet", &image]).map(drop))?;
        docker.run(&["image", "rm", &image])?;
        Ok(Some(time))
    }

    fn timed(&mut self, work: impl FnOnce(&Self) -> Result<(), BenchError>) -> Result<Duration, BenchError> {
        self.ground.settle()?;
        let begun = Instant::now();
        work(self)?;
        Ok(begun.elapsed())
    }
}
