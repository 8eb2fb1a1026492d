//! The sizes that a task can have.
//!
//! RegisterTaskDefinition refuses every other pair of cpu and memory, and only there: after the change was stored. So
//! pairs are judged here, before anything is called.

use tapit_model::{CpuMillis, MemoryMib, Size};

/// Memory in MiB that goes with a cpu: from, to, in steps of. The smallest cpu has two rows, as its steps are uneven.
struct Row {
    cpu_millis: u64,
    from: u64,
    to: u64,
    step: u64,
}

const fn row(cpu_millis: u64, from: u64, to: u64, step: u64) -> Row {
    Row { cpu_millis, from, to, step }
}

/// By cpu, then by memory. The last two need platform version 1.4.0, which is what `LATEST` has long been.
const TABLE: [Row; 8] = [
    row(250, 512, 512, 512),
    row(250, 1024, 2048, 1024),
    row(500, 1024, 4096, 1024),
    row(1000, 2048, 8192, 1024),
    row(2000, 4096, 16_384, 1024),
    row(4000, 8192, 30_720, 1024),
    row(8000, 16_384, 61_440, 4096),
    row(16_000, 32_768, 122_880, 8192),
];

const SMALLEST: Size = Size { memory: MemoryMib::from_mib(512), cpu: CpuMillis::from_millis(250) };
pub(super) const LARGEST: Size = Size { memory: MemoryMib::from_mib(122_880), cpu: CpuMillis::from_millis(16_000) };

impl Row {
    /// The least memory of this row that is not smaller.
    fn at_least(&self, mib: u64) -> Option<Size> {
        let steps = mib.saturating_sub(self.from).div_ceil(self.step);
        let memory = self.from + steps * self.step;
        (memory <= self.to).then(|| self.size(memory))
    }

    /// The most memory of this row that is not larger.
    fn at_most(&self, mib: u64) -> Option<Size> {
        let steps = mib.min(self.to).checked_sub(self.from)? / self.step;
        Some(self.size(self.from + steps * self.step))
    }

    fn size(&self, mib: u64) -> Size {
        Size { memory: MemoryMib::from_mib(mib), cpu: CpuMillis::from_millis(self.cpu_millis) }
    }
}

/// A legal size in the units of a task definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskSize {
    /// 1,024 are one vCPU.
    pub cpu_units: u32,
    pub memory_mib: u64,
}

/// How a size fits the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    Exact(TaskSize),
    /// It does not: the nearest sizes are these.
    Nearest {
        /// Neither cpu nor memory is smaller than asked for. `None`: nothing is so large.
        larger: Option<Size>,
        /// Neither is larger. `None`: nothing is so small.
        smaller: Option<Size>,
    },
}

pub fn fit(size: Size) -> Fit {
    let (cpu, mib) = (size.cpu.millis(), size.memory.mib());
    // The least cpu that has so much memory has it in the finest steps as well, so no later row comes nearer.
    let larger = TABLE.iter().filter(|row| row.cpu_millis >= cpu).find_map(|row| row.at_least(mib));
    let smaller = TABLE.iter().rev().filter(|row| row.cpu_millis <= cpu).find_map(|row| row.at_most(mib));
    match larger {
        // Cpu comes in vCPU of a small power of two, so units are whole.
        Some(larger) if larger == size => {
            Fit::Exact(TaskSize { cpu_units: u32::try_from(cpu * 1024 / 1000).unwrap_or(u32::MAX), memory_mib: mib })
        }
        larger => Fit::Nearest { larger, smaller },
    }
}

/// `cpu=0.5 memory=4`.
pub(super) fn words(size: Size) -> String {
    format!("cpu={} memory={}", size.cpu, size.memory)
}

/// What is wrong with a size, and which ones are right. `None`: nothing.
pub(super) fn fault(size: Size) -> Option<String> {
    let near: Vec<_> = match fit(size) {
        Fit::Exact(_) => return None,
        Fit::Nearest { larger, smaller } => larger.into_iter().chain(smaller).map(words).collect(),
    };
    let nearest = match near.as_slice() {
        [] => format!("the sizes go from {} to {}", words(SMALLEST), words(LARGEST)),
        [one] => format!("the nearest is {one}"),
        several => format!("the nearest are {}", several.join(", ")),
    };
    Some(format!("{} vCPU with {} GB is no size that Fargate has; {nearest}", size.cpu, size.memory))
}
