//! What every engine must do, done by this one with real containers.

use crate::subject::run;

tapit_engine::conformance_tests!(run);
