//! How images behave, by their tag: the name in a trace tells what to expect.

use tapit_model::ImageRef;

use super::rng::Rng;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    Good,
    /// Takes most of its minute to get healthy.
    Slow,
    /// Ignores SIGTERM.
    Stubborn,
    /// Crashes after hours.
    Ages,
    /// Ends by itself with status 0 after minutes.
    Completes,
    /// Crashes before it is healthy.
    Crashes,
    NeverHealthy,
    /// The container cannot be started.
    Broken,
    /// The registry does not have it.
    Missing,
    /// The registry answers only now and then.
    Flaky,
}

impl Behaviour {
    pub(super) const TAGS: [(Behaviour, &'static str); 10] = [
        (Behaviour::Good, "good"),
        (Behaviour::Slow, "slow"),
        (Behaviour::Stubborn, "stubborn"),
        (Behaviour::Ages, "ages"),
        (Behaviour::Completes, "completes"),
        (Behaviour::Crashes, "crashes"),
        (Behaviour::NeverHealthy, "never-healthy"),
        (Behaviour::Broken, "broken"),
        (Behaviour::Missing, "missing"),
        (Behaviour::Flaky, "flaky"),
    ];

    pub(super) fn of(image: &ImageRef) -> Self {
        let known = |(_, tag): &&(Behaviour, &str)| image.tag() == Some(*tag);
        Self::TAGS.iter().find(known).map_or(Behaviour::Good, |(behaviour, _)| *behaviour)
    }

    /// A tag; good ones come oftener, or nothing would ever run.
    pub(super) fn any_tag(rng: &mut Rng) -> &'static str {
        if rng.percent(40) {
            return "good";
        }
        rng.pick(&Self::TAGS).map_or("good", |(_, tag)| *tag)
    }

    /// No instance of it ever gets healthy.
    pub(super) fn is_hopeless(self) -> bool {
        match self {
            Behaviour::Crashes | Behaviour::NeverHealthy | Behaviour::Broken | Behaviour::Missing => true,
            Behaviour::Good
            | Behaviour::Slow
            | Behaviour::Stubborn
            | Behaviour::Ages
            | Behaviour::Completes
            | Behaviour::Flaky => false,
        }
    }

    /// Milliseconds from its start until it answers its health check.
    pub(super) fn ready_after(self, rng: &mut Rng) -> Option<u64> {
        match self {
            Behaviour::Slow => Some(rng.between(20_000, 50_000)),
            Behaviour::Crashes | Behaviour::NeverHealthy | Behaviour::Broken | Behaviour::Missing => None,
            Behaviour::Good | Behaviour::Stubborn | Behaviour::Ages | Behaviour::Completes | Behaviour::Flaky => {
                Some(rng.between(200, 4_000))
            }
        }
    }

    /// Milliseconds from its start until it ends by itself, and its exit status.
    pub(super) fn ends_after(self, rng: &mut Rng) -> Option<(u64, i32)> {
        match self {
            Behaviour::Ages => Some((rng.between(3_600_000, 20_000_000), 139)),
            Behaviour::Completes => Some((rng.between(30_000, 600_000), 0)),
            Behaviour::Crashes => Some((rng.between(10, 900), 1)),
            Behaviour::Good
            | Behaviour::Slow
            | Behaviour::Stubborn
            | Behaviour::NeverHealthy
            | Behaviour::Broken
            | Behaviour::Missing
            | Behaviour::Flaky => None,
        }
    }

    /// Milliseconds from SIGTERM to the end; `None`: it waits for SIGKILL.
    pub(super) fn stops_after(self, rng: &mut Rng) -> Option<u64> {
        match self {
            Behaviour::Stubborn => None,
            Behaviour::Good
            | Behaviour::Slow
            | Behaviour::Ages
            | Behaviour::Completes
            | Behaviour::Crashes
            | Behaviour::NeverHealthy
            | Behaviour::Broken
            | Behaviour::Missing
            | Behaviour::Flaky => Some(rng.between(5, 8_000)),
        }
    }
}
