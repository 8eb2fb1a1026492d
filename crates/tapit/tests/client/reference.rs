//! The lines that users know must work exactly as they are written there.

use tapit_cli::grammar::parse;

use crate::support::argv;

const LINES: &[&str] = &[
    "tapit create process name=default",
    "tapit create process name=api memory=2.0 cpu=1.0 demand_count=3 spot_count=0",
    "tapit create process name=worker memory=1.0 cpu=0.5 demand_count=1 spot_count=2 command=\"python worker.py\"",
    "tapit create process name=auth-service image=myapp/auth:latest memory=0.5 cpu=0.25 demand_count=2",
    "tapit set process name=default desired_count=5",
    "tapit set process name=worker memory=2.0",
    "tapit set process name=scheduler command=\"python manage.py run_scheduler\"",
    "tapit set process name=worker disabled=true",
    "tapit set process name=worker disabled=false",
    "tapit set process name=api image=myapp/api:v2.1.0",
    "tapit restart process name=default",
    "tapit restart process name=worker",
    "tapit  show process name=process-name",
    "tapit  list processes",
    "tapit  delete process name=process-name",
    "tapit delete process name=old-worker",
    "tapit delete process name=test-api",
    "tapit create process name=default memory=1.0 cpu=0.5 demand_count=3 spot_count=1",
    "tapit create process name=default command=\"npm start\"",
    "tapit create process name=worker command=\"python -m celery worker -A app\"",
    "tapit create process name=migrate command=\"python manage.py migrate\" demand_count=1",
    "tapit set process desired_count=2",
];

#[test]
fn every_line_of_the_reference_page_is_understood() {
    for line in LINES {
        assert!(parse(&argv(line)).is_ok(), "{line}: {:?}", parse(&argv(line)));
    }
}

#[test]
fn every_example_of_the_help_is_understood() {
    for row in tapit_cli::grammar::table() {
        assert!(!row.examples.is_empty(), "{} has no example", row.title());
        for example in row.examples {
            let parsed = parse(&argv(example.line));
            assert!(parsed.is_ok(), "{}: {parsed:?}", example.line);
        }
    }
}
