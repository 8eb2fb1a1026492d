//! What is typed about registries, and what becomes of the password.

use crate::server::{Server, outcome};
use crate::support::User;

#[test]
fn a_password_is_read_from_the_input_and_goes_to_the_server_alone() {
    for (answer, sent) in [("open sesame\n", "open sesame"), ("p:w\r\nmore\n", "p:w"), ("no newline", "no newline")] {
        let answered = outcome("set username, password of the registry r.example:5000", None);
        let server = Server::answering(&[("PATCH /v1/registry?name=r.example%3A5000", 200, &answered)]);
        let run = server.user().answering(answer).run("tapit set registry R.example:5000 username=ann password=-");
        assert_eq!(run.status(), 0, "{}", run.err);
        let body: serde_json::Value = serde_json::from_str(&server.seen()[0].text()).expect("an object");
        assert_eq!(body, serde_json::json!({"username": "ann", "password": sent}));
        assert!(!run.out.contains(sent) && !run.err.contains(sent), "{run:?}");
    }
    let answered = outcome("set", None);
    let server = Server::answering(&[("PATCH /v1/registry?name=ghcr.io", 200, &answered)]);
    let at_terminal = server.user().at_terminal().answering("x\n");
    let run = at_terminal.run("tapit set registry ghcr.io username=ann password=-");
    assert!(run.err.starts_with("password for ghcr.io, which is not shown:\n"), "{}", run.err);
}

#[test]
fn a_wrong_line_fails_before_a_password_is_asked_for() {
    for (line, part) in [
        ("tapit set registry ghcr.io", "needs something to change"),
        ("tapit set registry username=ann password=-", "the registry is missing"),
        ("tapit set registry https://ghcr.io password=-", "is not a registry"),
        ("tapit set registry ghcr.io passwrod=-", "did you mean password?"),
        ("tapit set registry ghcr.io plain_http=perhaps password=-", "true or false"),
        ("tapit show registry", "see `tapit list registries`"),
        ("tapit delete registry ghcr.io", "add --force"),
        ("tapit set registry ghcr.io username=ann password=-", "no password on the standard input"),
    ] {
        let run = User::script().run(line);
        assert!(run.status() == 2 && run.err.contains(part), "{line}: {}", run.err);
    }
}

#[test]
fn what_is_set_is_listed_without_passwords() {
    let one = r#"{"name":"ghcr.io","username":"ann","mirror":[],"plain_http":false}"#;
    let other = r#"{"name":"r.lan:5000","username":null,"mirror":["a","b:1"],"plain_http":true}"#;
    let both = format!("[{one},{other}]");
    let server = Server::answering(&[("GET /v1/registries", 200, &both)]);
    let run = server.user().at_terminal().run("tapit list registries");
    assert_eq!(
        run.out,
        "NAME        USERNAME  MIRROR  PLAIN HTTP\n\
         ghcr.io     ann       -       no\n\
         r.lan:5000  -         a,b:1   yes\n"
    );
    let server = Server::answering(&[("GET /v1/registry?name=ghcr.io", 200, one)]);
    let run = server.user().at_terminal().run("tapit show registry ghcr.io");
    assert!(run.out.contains("password:    (set, not shown)\n"), "{}", run.out);
    let answered = outcome("forgot", None);
    let server = Server::answering(&[("DELETE /v1/registry?name=docker.io&dry_run=true", 200, &answered)]);
    assert_eq!(server.user().run("tapit delete registry name=index.docker.io -n").status(), 0);
}
