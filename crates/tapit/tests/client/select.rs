//! Which app and which server.

use tapit_cli::surroundings::Surroundings;
use tapit_cli::{client::Address, select};
use tapit_model::AppName;

use crate::server::{Server, app, process};
use crate::support::User;

fn named(app: &str) -> AppName {
    AppName::parse(app).expect(app)
}

#[test]
fn the_first_of_flag_variable_and_file_names_the_app() {
    let dir = tempfile::tempdir().expect("a directory");
    let inner = dir.path().join("a/b");
    std::fs::create_dir_all(&inner).expect("directories");
    std::fs::write(dir.path().join(".tapit.toml"), "app = \"outer\"\n").expect("a file");
    let mut around = Surroundings { directory: inner.clone(), ..Surroundings::default() };
    let select = |typed: Option<&str>, around: &Surroundings| {
        select::app(typed.map(named).as_ref(), around).expect("selected").map(|app| app.to_string())
    };
    assert_eq!(select(None, &around).as_deref(), Some("outer"));
    std::fs::write(dir.path().join("a/.tapit.toml"), "app = \"inner\"\n").expect("a file");
    assert_eq!(select(None, &around).as_deref(), Some("inner"));
    std::fs::write(inner.join(".tapit.toml"), "").expect("a file");
    assert_eq!(select(None, &around).as_deref(), Some("inner"), "a file without an app is passed over");
    around.environment.insert("TAPIT_APP".to_owned(), "env".to_owned());
    assert_eq!(select(None, &around).as_deref(), Some("env"));
    assert_eq!(select(Some("typed"), &around).as_deref(), Some("typed"));
}

#[test]
fn a_broken_file_is_named_and_explained() {
    let dir = tempfile::tempdir().expect("a directory");
    for text in ["app = ", "ap = \"shop\"", "app = \"Not An App\"", "app = 7"] {
        std::fs::write(dir.path().join(".tapit.toml"), text).expect("a file");
        let mut user = User::script();
        user.surroundings.directory = dir.path().to_owned();
        let run = user.run("tapit list processes");
        assert_eq!(run.status(), 2, "{text}: {}", run.err);
        assert!(run.err.contains(".tapit.toml"), "{text}: {}", run.err);
    }
}

#[test]
fn the_only_app_there_is_is_meant() {
    let (apps, processes) = (format!("[{}]", app("shop")), format!("[{}]", process("web", "running")));
    let server = Server::answering(&[("GET /v1/apps", 200, &apps), ("GET /v1/apps/shop/processes", 200, &processes)]);
    let run = server.user().run("tapit list processes");
    assert_eq!(run.status(), 0, "{}", run.err);
}

#[test]
fn of_several_apps_one_must_be_named() {
    let apps = format!("[{},{}]", app("blog"), app("shop"));
    let server = Server::answering(&[("GET /v1/apps", 200, &apps)]);
    let run = server.user().run("tapit list processes");
    assert_eq!(run.status(), 2);
    assert!(run.err.contains("blog, shop") && run.err.contains("-a blog"), "{}", run.err);
}

#[test]
fn without_any_app_the_way_to_the_first_is_shown() {
    let server = Server::answering(&[("GET /v1/apps", 200, "[]")]);
    let run = server.user().run("tapit create process name=default");
    assert_eq!(run.status(), 2);
    assert!(run.err.contains("tapit create app NAME"), "{}", run.err);
}

#[test]
fn the_server_is_that_of_the_variable_or_of_the_data_directory() {
    let around = |pairs: &[(&str, &str)], root| Surroundings {
        environment: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        directory: "/work".into(),
        root,
    };
    for (pairs, root, expected) in [
        (vec![("TAPIT_BASEURL", "https://h"), ("TAPIT_DATA_DIR", "/d")], true, "https://h"),
        (vec![("TAPIT_DATA_DIR", "/d")], true, "unix:///d/tapit.sock"),
        (vec![("TAPIT_DATA_DIR", "d")], true, "unix:///work/d/tapit.sock"),
        (vec![], true, "unix:///var/lib/tapit/tapit.sock"),
        (vec![("HOME", "/home/u")], false, "unix:///home/u/.local/share/tapit/tapit.sock"),
        (vec![("HOME", "/home/u"), ("XDG_DATA_HOME", "/x")], false, "unix:///x/tapit/tapit.sock"),
        (vec![("HOME", "/home/u"), ("XDG_DATA_HOME", "x")], false, "unix:///home/u/.local/share/tapit/tapit.sock"),
    ] {
        assert_eq!(select::server(&around(&pairs, root)).expect("selected"), expected);
    }
    assert!(select::server(&around(&[], false)).is_err());
}

#[test]
fn addresses_are_read_as_urls() {
    for (url, shown, exposed) in [
        ("unix:///run/tapit.sock", "unix:///run/tapit.sock", false),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000", false),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000", false),
        ("http://localhost", "http://localhost:80", false),
        ("http://[::1]:81", "http://[::1]:81", false),
        ("http://example.com", "http://example.com:80", true),
        ("https://example.com", "https://example.com:443", false),
    ] {
        let address = Address::parse(url).expect(url);
        assert_eq!((address.to_string().as_str(), address.is_exposed()), (shown, exposed), "{url}");
    }
    assert!(Address::parse(&format!("unix:///{}", "x".repeat(107))).is_err());
}

#[test]
fn a_server_that_is_away_is_named_with_the_way_to_start_one() {
    let run = User::script().run("tapit list apps");
    assert_eq!(run.status(), 6);
    assert!(run.err.contains("unix:///nonexistent/tapit.sock") && run.err.contains("`tapit server`"), "{}", run.err);
    let run = User::script().with("TAPIT_BASEURL", "http://127.0.0.1:1").run("tapit status");
    assert_eq!(run.status(), 6);
    assert!(run.err.contains("http://127.0.0.1:1"), "{}", run.err);
}
