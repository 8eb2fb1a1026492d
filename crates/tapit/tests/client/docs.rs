//! `docs/commands.md` says what `tapit help` says.

use std::fmt::Write;
use std::path::Path;

use tapit_cli::grammar::help::Topic;
use tapit_cli::grammar::table;

fn help(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    Topic::find(&words).expect("a topic of the table").text()
}

fn page() -> String {
    let mut page = String::from(
        "# Commands\n\nWhat `tapit help` prints, command by command. Made by the test that checks it: `TAPIT_BLESS=1 cargo test -p tapit`.\n",
    );
    let mut section = |title: &str, text: &str| {
        let _ = write!(page, "\n## {title}\n\n```\n{}\n```\n", text.trim_end());
    };
    section("tapit", &help(&[]));
    for row in table() {
        let title = row.title();
        let words: Vec<&str> = title.split(' ').collect();
        section(&title, &help(&words));
    }
    section("environment", &help(&["environment"]));
    section("exit codes", &help(&["exit-codes"]));
    page
}

#[test]
fn the_page_of_commands_in_the_docs_is_what_help_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
    let made = page();
    if std::env::var_os("TAPIT_BLESS").is_some() {
        std::fs::write(&path, &made).expect("docs/commands.md can be written");
    }
    let held = std::fs::read_to_string(&path).expect("docs/commands.md is there");
    assert!(
        held == made,
        "docs/commands.md is not what `tapit help` prints; TAPIT_BLESS=1 cargo test -p tapit makes it so"
    );
}
