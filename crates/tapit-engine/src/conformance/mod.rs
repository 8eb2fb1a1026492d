//! What every engine must do: one function for each behaviour, called by the engine's own tests.
//!
//! An engine is brought in as a `Subject`; `conformance_tests!` makes a test of each function. The functions panic where
//! an engine breaks the contract, and leave the clearing up to whoever made the subject, also then.

mod capacity;
mod exec;
mod failures;
mod lifecycle;
mod logs;
mod rollouts;
mod routes;
mod stage;
mod targets;
mod tasks;

use std::sync::Arc;

use async_trait::async_trait;
use tapit_model::{Formation, InstanceKey};

use crate::SharedEngine;

pub use capacity::*;
pub use exec::*;
pub use failures::*;
pub use lifecycle::*;
pub use logs::*;
pub use rollouts::*;
pub use routes::Routes;
pub use targets::*;
pub use tasks::*;

/// What the instances of a formation do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behaviour {
    /// Write `LOG_LINES`, get healthy, and end soon after they are told to stop.
    Serves,
    /// Write `LAST_WORDS` and exit with `CRASH_CODE` before they are healthy.
    Crashes,
    /// Exit with 0 before they are healthy.
    Completes,
    /// Are killed for want of memory before they are healthy.
    OutOfMemory,
    /// Run, and never get healthy.
    NeverHealthy,
}

pub const LOG_LINES: [&str; 5] = ["line 1", "line 2", "line 3", "line 4", "line 5"];
pub const LAST_WORDS: &str = "last words";
pub const CRASH_CODE: i32 = 3;

/// Where engines differ by what they are; the suite asks each for what it promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// Starts and stops every instance itself, and leaves the routes to the server's router.
    Own,
    /// Tells somebody else's scheduler what is wanted, who also routes: which instance goes is the scheduler's choice, and
    /// no command can be run beside a program.
    Managed,
}

/// An engine in its world, fresh for each test: opened and not adopted yet. Its traffic is `routes`.
#[async_trait]
pub trait Subject: Send + Sync {
    fn engine(&self) -> SharedEngine;

    fn nature(&self) -> Nature {
        Nature::Own
    }

    /// Of a managed engine, what its load balancer does as far as it can be observed.
    fn routes(&self) -> Arc<Routes>;

    /// One demand instance in generation 1, of a process that is not public. At least eight of its size fit into the
    /// capacity, where there is one. `Behaviour::NeverHealthy` has the shortest deadline there is.
    fn formation(&self, behaviour: Behaviour) -> Formation;

    /// Ends a running instance from outside, with a signal.
    async fn kill(&self, instance: &InstanceKey);

    /// Lets some time pass: enough for something to happen, little enough to see it happen.
    async fn pass(&self);

    /// How many passes anything may take.
    fn patience(&self) -> u32;

    /// The server dies and a new one opens the engine: afterwards `engine` answers that one, not adopted yet.
    async fn reopen(&self);

    /// What is left on the host of all that the engine made, one word each; asked after a teardown.
    fn left_over(&self) -> Vec<String>;
}

/// Makes a test of every behaviour in the suite. `$run` is given the behaviour, makes a subject, and clears up after it:
/// `fn run(test: for<'a> fn(&'a dyn Subject) -> conformance::Running<'a>)`.
#[macro_export]
macro_rules! conformance_tests {
    ($run:path) => {
        $crate::conformance_tests! { @each $run:
            counts_are_reached an_older_revision_is_stale the_same_target_again_changes_nothing
            scaling_up_starts_only_what_is_missing scaling_down_keeps_the_oldest
            an_absent_process_is_forgotten_once_nothing_of_it_runs ids_are_not_used_again_after_a_deletion
            a_change_wakes_whoever_watches scaling_to_zero_and_back
            a_new_generation_replaces_all_while_enough_serve
            without_room_for_a_surge_one_at_a_time_is_replaced
            a_failing_generation_is_reported_and_the_old_one_serves_on
            going_back_keeps_the_old_instances_and_removes_the_new a_generation_past_its_deadline_is_reported
            a_new_size_reaches_the_same_instances an_instance_with_requests_in_flight_drains_first
            a_killed_instance_is_replaced_and_its_siblings_stay a_crash_loop_backs_off_and_counts_its_restarts
            an_exit_with_0_is_completed_not_crashed an_instance_out_of_memory_says_so
            the_last_lines_of_a_log_can_be_read_while_it_runs_and_after
            a_log_is_read_on_from_where_the_last_reading_ended
            a_command_in_an_instance_tells_its_output_and_its_status
            a_command_in_an_instance_is_fed_and_signalled no_command_runs_where_no_instance_runs
            demand_that_does_not_fit_is_blocked_until_there_is_room
            what_is_blocked_is_news_of_the_target_that_is_shown spot_makes_room_for_demand_and_comes_back
            an_interruption_takes_the_newest_spot_instance spot_waits_for_room_without_harm
            a_new_server_takes_over_what_runs a_new_server_removes_what_nobody_knows
            a_new_server_carries_on_a_rollout what_ended_while_nobody_looked_is_replaced
            a_task_runs_once_and_tells_how_it_ended a_task_is_stopped_and_stays_known
            a_task_goes_on_under_a_new_server_and_does_not_run_again
            a_teardown_leaves_nothing
        }
    };
    (@each $run:path: $($name:ident)*) => {
        $(#[test]
        fn $name() {
            fn boxed(subject: &dyn $crate::conformance::Subject) -> $crate::conformance::Running<'_> {
                Box::pin($crate::conformance::$name(subject))
            }
            $run(boxed);
        })*
    };
}

/// A test under way.
pub type Running<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A behaviour of the suite, as `conformance_tests!` hands it over.
pub type Test = for<'a> fn(&'a dyn Subject) -> Running<'a>;
