//! Who may give commands.

use crate::harness::Server;

#[test]
fn on_tcp_the_token_decides() {
    let server = Server::with_token("secret", &["--api", "127.0.0.1:0"]);
    let asked = |token: &str| {
        let environment = [("TAPIT_BASEURL", server.api()), ("TAPIT_TOKEN", token)];
        server.shell(&environment).type_line("tapit list apps -o json")
    };
    asked("").exits(5).says("TAPIT_TOKEN");
    asked("wrong").exits(5).says("TAPIT_TOKEN");
    assert_eq!(asked("secret").ok().json(), serde_json::json!([]));
}

#[test]
fn on_tcp_a_server_without_a_token_does_not_start() {
    let server = Server::start();
    let other = server.home().join("other");
    let line = format!("server --data-dir {} --http 127.0.0.1:0 --api 127.0.0.1:0", other.display());
    server.tapit(&line).exits(2).says("TAPIT_TOKEN");
    assert!(!other.exists(), "everything is checked before anything is made");
}

#[test]
fn another_user_is_not_answered() {
    let server = Server::start();
    // The program and its directory may be closed to others, which is not what is asked here.
    let program = server.home().join("tapit");
    std::fs::copy(env!("CARGO_BIN_EXE_tapit"), &program).expect("a copy of the program");
    let line =
        format!("chmod 755 . && setpriv --reuid=65534 --regid=65534 --clear-groups {} list apps", program.display());
    server.shell(&[]).type_line(&line).exits(5).says("another user");
}
