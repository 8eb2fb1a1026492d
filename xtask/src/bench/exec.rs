//! `bench exec`: a command that does nothing in a container that runs, from the command line to its end.

use std::time::Instant;

use super::docker::Docker;
use super::rig::Rig;
use super::table::{self, Row};
use super::{Bench, BenchError, IDLE_IMAGE, SIZE, millis};

pub fn run(bench: &Bench) -> Result<(), BenchError> {
    let rig = Rig::start(bench.root)?;
    rig.tapit(&format!("create app target image={IDLE_IMAGE} {SIZE} port=none min_healthy_time=0 --wait"))?;
    let docker = Docker::find(&rig)?;
    let container = docker.as_ref().map(|docker| docker.start(&[IDLE_IMAGE])).transpose()?;
    let (mut ours, mut theirs) = (Row::new("tapit exec"), Row::new("docker exec"));
    for _ in 0..bench.rounds {
        let begun = Instant::now();
        rig.tapit("-a target exec name=default -- true")?;
        ours.values.push(millis(begun.elapsed()));
        if let (Some(docker), Some(container)) = (&docker, &container) {
            let begun = Instant::now();
            docker.run(&["exec", &container.id, "true"])?;
            theirs.values.push(millis(begun.elapsed()));
        }
    }
    table::print("a command in a running container, command line included", "ms", &[ours, theirs]);
    Ok(())
}
