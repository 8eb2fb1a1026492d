//! The line of `exec`: what is its command, and what is a word of its own.

use crate::support::User;

#[track_caller]
fn check(line: &str, status: u8, part: &str) {
    let run = User::script().run(line);
    assert_eq!(run.status(), status, "{line}: {}", run.err);
    assert!(run.err.contains(part), "{line}: {}", run.err);
    assert_eq!(run.out, "", "{line}");
}

#[test]
fn the_command_is_one_word_whatever_it_holds() {
    // Nobody answers there: these lines are right as far as they can be judged here.
    for line in [
        "tapit -a shop exec name=api 'ls -l /'",
        "tapit exec -a shop name=api instance=api.7 sh",
        "tapit -a shop exec name=api 'FOO=1 env'",
        "tapit -a shop exec name=api 'x=1 env'",
        "tapit -a shop exec name=api command='x=1'",
        "tapit -a shop exec name=api 'pg_dump shop | gzip'",
    ] {
        check(line, 6, "cannot reach the server");
    }
}

#[test]
fn a_wrong_line_is_refused_before_anything_is_sent() {
    check("tapit exec", 2, "needs a command");
    check("tapit exec name=api", 2, "needs a command");
    check("tapit exec name=api ''", 2, "needs a command");
    check("tapit exec name=api ls /", 2, "quote it");
    check("tapit exec name=api instanc=api.7 ls", 2, "did you mean instance?");
    check("tapit exec name=api instance= ls", 2, "instance= is empty");
    check("tapit exec name=api 'echo \"x'", 2, "unclosed double quote");
    check("tapit exec name=A_B ls", 2, "A_B");
    let long = "x".repeat(16 * 1024 + 1);
    check(&format!("tapit exec name=api '{long}'"), 2, "16384 at most");
}
