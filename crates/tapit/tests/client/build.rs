//! Building with programs that stand in for builders, and what is made of their outcome.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tapit_cli::grammar::parse;

use crate::server::{Server, app, refusal};
use crate::support::{Run, User, argv};

const IMAGE: &str = r#"[{"name":"a:v2","digest":"sha256:0123456789abcdef","size":1,"shared":0,"unique":1,"layers":1,"source":"build",
    "created_at":"2026-01-01T00:00:00.000Z","used_at":"2026-01-01T00:00:00.000Z","used_by":[],"entrypoint":[],"command":[],
    "exposed_ports":[],"user":"","working_dir":"/"}]"#;

/// A user with a directory to build, a search path, and a place for temporary files.
struct Bench {
    home: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        for name in ["bin", "tmp", "src"] {
            std::fs::create_dir(home.path().join(name)).expect("a directory");
        }
        std::fs::write(home.path().join("src/Dockerfile"), "FROM scratch\n").expect("a file");
        Self { home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().canonicalize().expect("a path").join(name)
    }

    /// Puts a program on the search path. It notes its arguments, then does what the script says.
    fn install(&self, name: &str, script: &str) -> &Self {
        let path = self.path("bin").join(name);
        let text =
            format!("#!/bin/sh\nfor word in \"$@\"; do printf '%s\\n' \"$word\"; done >> \"$0.log\"\n{script}\n");
        // Written by another program: what this one has open for writing, a child of another test may hold for a moment,
        // and a file that is written to cannot be run.
        let draft = self.path("draft");
        std::fs::write(&draft, text).expect("a program");
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).expect("its mode");
        assert!(std::process::Command::new("cp").arg(&draft).arg(&path).status().expect("cp").success());
        self
    }

    /// The arguments of all runs of a program, one a line.
    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path("bin").join(format!("{name}.log"))).unwrap_or_default()
    }

    fn run(&self, user: &User, line: &str) -> Run {
        let mut user = user.clone();
        user.surroundings.directory = self.path("src");
        let path = |name: &str| self.path(name).display().to_string();
        let run = user.with("PATH", &path("bin")).with("TMPDIR", &path("tmp")).run(line);
        assert_eq!(
            std::fs::read_dir(self.path("tmp")).expect("a directory").count(),
            0,
            "nothing is left: {}",
            run.err
        );
        run
    }
}

/// A builder whose `save` writes an archive to its standard output.
const SAVES: &str = "case $1 in save) printf 'the archive' ;; *) echo \"step $1\"; echo warned >&2 ;; esac";
const NO_DAEMON: &str = "echo 'Cannot connect to the Docker daemon' >&2; exit 1";

fn status() -> (&'static str, u16, &'static str) {
    ("GET /v1/status", 200, "{}")
}

fn import(name: &str) -> String {
    format!("POST /v1/images?ref={name}&source=build")
}

#[test]
fn the_first_builder_that_works_builds_and_what_it_saved_is_imported() {
    let bench = Bench::new();
    bench.install("docker", NO_DAEMON).install("podman", SAVES).install("buildctl", NO_DAEMON);
    let (shop, import) = (app("shop"), import("a%3Av2"));
    let server = Server::answering(&[("GET /v1/apps/shop", 200, &shop), (&import, 200, IMAGE)]);
    let run = bench.run(&server.user(), "tapit image build docker_tag=v2 build_arg=A='1 2' build_arg=B=x=y -a shop");
    assert_eq!(run.status(), 0, "{}", run.err);
    for part in [
        "docker is installed but cannot build now: Cannot connect to the Docker daemon\n",
        "step build\nwarned\n",
        "built a:v2 with podman\n",
        "next: tapit set app shop image=a:v2\n",
    ] {
        assert!(run.err.contains(part), "{part:?} is not in {}", run.err);
    }
    assert_eq!(server.seen()[1].text(), "the archive");
    let (source, tag) = (bench.path("src").display().to_string(), "docker.io/library/a:v2");
    assert_eq!(
        bench.log("podman"),
        format!(
            "build\n--tag\n{tag}\n--file\n{source}/Dockerfile\n--build-arg=A=1 2\n--build-arg=B=x=y\n{source}\nsave\n--quiet\n\
             --format\noci-archive\n{tag}\n"
        )
    );
    assert_eq!(bench.log("buildctl"), "", "the next one is not asked");
    let image: serde_json::Value = serde_json::from_str(&run.out).expect("an object");
    assert_eq!((&image["name"], &image["source"]), (&"a:v2".into(), &"build".into()));
}

#[test]
fn a_builder_that_writes_the_archive_itself_is_given_a_place_for_it() {
    let bench = Bench::new();
    bench.install("buildah", "[ $1 = build ] || printf 'from buildah' > image.tar");
    let import = import("x%3Av1");
    let server = Server::answering(&[status(), (&import, 200, IMAGE)]);
    let run = bench.run(&server.user(), "tapit build image ref=x:v1");
    assert_eq!(run.status(), 0, "{}", run.err);
    assert_eq!(server.seen()[1].text(), "from buildah");
}

#[test]
fn a_build_that_fails_imports_nothing_and_tells_the_last_words() {
    let bench = Bench::new();
    bench.install("docker", "[ $1 = version ] || { seq 100; echo 'no such file: x' >&2; exit 3; }");
    let server = Server::answering(&[status()]);
    let run = bench.run(&server.user(), "tapit build image ref=x:v1");
    assert_eq!((run.status(), run.out.as_str()), (1, ""), "{}", run.err);
    let last = "tapit: the build failed: docker ended with exit status: 3; nothing was imported\n  | 92\n";
    assert!(run.err.contains(last) && run.err.ends_with("  | 100\n  | no such file: x\n"), "{}", run.err);
    assert!(run.err.starts_with("1\n2\n3\n"), "all of it was seen: {}", run.err);

    let bench = Bench::new();
    bench.install("podman", "[ $1 = build ] || { echo 'disk full' >&2; exit 1; }");
    let server = Server::answering(&[status()]);
    let run = bench.run(&server.user(), "tapit build image ref=x:v1");
    assert!(run.status() == 1 && run.err.contains("  | disk full"), "{}", run.err);
}

#[test]
fn without_a_builder_that_works_it_is_said_what_to_install() {
    for (installed, line, parts) in [
        (None, "tapit image build ref=x:v1", ["nothing that builds images is installed", "apt install buildah"]),
        (None, "tapit image build ref=x:v1 builder=docker", ["docker is not installed", "leave builder= out"]),
        (
            Some("docker"),
            "tapit image build ref=x:v1 builder=docker",
            ["Cannot connect", "no builder works here: docker"],
        ),
        (Some("docker"), "tapit image build ref=x:v1", ["start its daemon", "apt install buildah"]),
    ] {
        let bench = Bench::new();
        if let Some(name) = installed {
            bench.install(name, NO_DAEMON);
        }
        let run = bench.run(&Server::answering(&[status()]).user(), line);
        assert_eq!(run.status(), 1, "{line}: {}", run.err);
        for part in parts {
            assert!(run.err.contains(part), "{line}: {part:?} is not in {}", run.err);
        }
    }
}

#[test]
fn a_dry_run_shows_what_would_be_run_and_builds_nothing() {
    let bench = Bench::new();
    bench.install("buildah", "exit 1");
    let server = Server::answering(&[status()]);
    let run = bench.run(&server.user(), "tapit build image ref=x:v1 build_arg=A='a b' no_cache=yes --dry-run");
    assert_eq!(run.status(), 0, "{}", run.err);
    let source = bench.path("src").display().to_string();
    assert_eq!(
        run.err,
        format!(
            "buildah build --layers --tag docker.io/library/x:v1 --file {source}/Dockerfile '--build-arg=A=a b' --no-cache \
             {source}\nbuildah push --quiet docker.io/library/x:v1 oci-archive:image.tar:docker.io/library/x:v1\n\
             x:v1 would be imported\ndry run: nothing was changed\n"
        )
    );
    assert_eq!(bench.log("buildah"), "");
}

#[test]
fn an_app_that_is_yet_to_be_made_gives_the_image_its_name_and_what_to_type_next_fits() {
    let bench = Bench::new();
    bench.install("buildah", "[ $1 = build ] || printf x > image.tar");
    let (none, import) = (refusal("not_found", "no app shop"), import("shop%3Av2"));
    let image = IMAGE.replace("a:v2", "shop:v2");
    let server = Server::answering(&[("GET /v1/apps/shop", 404, &none), (&import, 200, &image)]);
    let run = bench.run(&server.user(), "tapit image build tag=v2 -a shop");
    assert_eq!(run.status(), 0, "{}", run.err);
    let next = run.err.lines().find_map(|line| line.strip_prefix("next: ")).expect("what is next");
    assert_eq!(next, "tapit create app shop image=shop:v2");
    assert!(parse(&argv(next)).is_ok(), "{next}");

    let (shop, import) = (app("shop"), self::import("a%3Ab"));
    let server = Server::answering(&[("GET /v1/apps/shop", 200, &shop), (&import, 200, IMAGE)]);
    let run = bench.run(&server.user(), "tapit image build tag=b -a shop");
    let next = run.err.lines().find_map(|line| line.strip_prefix("next: ")).expect("what is next");
    assert_eq!(next, "tapit restart process name=default -a shop", "the app's image is called so already");
    assert!(parse(&argv(next)).is_ok(), "{next}");

    let server = Server::answering(&[("GET /v1/apps", 200, "[]")]);
    let run = bench.run(&server.user(), "tapit image build tag=v2");
    assert!(run.status() == 2 && run.err.contains("or name the image: ref=NAME:TAG"), "{}", run.err);
}

#[test]
fn without_a_tag_a_clean_work_tree_gives_its_commit_and_anything_else_the_time() {
    let git = |directory: &Path, words: &[&str]| {
        let output = std::process::Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@b", "-C"])
            .arg(directory)
            .args(words)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .expect("git is needed: apt-get install git");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let bench = Bench::new();
    bench.install("buildah", "exit 0").install("git", "PATH=/usr/local/bin:/usr/bin:/bin exec git \"$@\"");
    let tag = || {
        let shop = app("shop");
        let server = Server::answering(&[("GET /v1/apps/shop", 200, &shop)]);
        let run = bench.run(&server.user(), "tapit image build -a shop --dry-run");
        let name = run.err.lines().find_map(|line| line.strip_suffix(" would be imported")).expect(&run.err).to_owned();
        name.strip_prefix("a:").expect("the app's image").to_owned()
    };
    let is_time = |tag: &str| {
        let (day, time) = tag.split_once('-').expect(tag);
        let digits = |text: &str, count| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
        digits(day, 8) && digits(time, 6)
    };
    assert!(is_time(&tag()), "no git");
    let source = bench.path("src");
    git(&source, &["init", "--quiet"]);
    assert!(is_time(&tag()), "no commit");
    git(&source, &["add", "."]);
    git(&source, &["commit", "--quiet", "-m", "a"]);
    assert_eq!(tag(), git(&source, &["rev-parse", "--short=12", "HEAD"]));
    std::fs::write(source.join("new"), "").expect("a file");
    assert!(is_time(&tag()), "a file that is not in the commit");
}

#[test]
fn what_cannot_be_built_is_refused_before_anything_is_asked_or_run() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("src/empty")).expect("a directory");
    for (line, parts) in [
        ("tapit image build ./nowhere", ["cannot build from", "nowhere"]),
        ("tapit image build Dockerfile", ["Dockerfile", "no directory"]),
        ("tapit image build empty", ["neither a Dockerfile nor a Containerfile", "dockerfile=PATH"]),
        ("tapit image build dockerfile=other", ["no file other", "here or in"]),
        ("tapit image build docker_tag=a/b", ["docker_tag=a/b is not legal", "letters"]),
        ("tapit image build docker_tag=v1@sha256:0", ["docker_tag=", "not legal"]),
        ("tapit image build ref=x:1 docker_tag=2", ["ref= holds the tag already", "either"]),
        ("tapit image build ref=UPPER", ["not an image reference", "UPPER"]),
        ("tapit image build build_arg=A", ["a name and a value", "build_arg=NAME=VALUE"]),
        ("tapit image build build_arg=1A=2", ["a name and a value", "build_arg=NAME=VALUE"]),
        ("tapit image build builder=dockr", ["builder=dockr is not known", "did you mean docker?"]),
        ("tapit image build target=--x;y", ["target=--x;y is not legal", "hyphens"]),
        ("tapit image build no_cache=perhaps", ["no_cache=perhaps", "true or false"]),
        ("tapit image build tga=v1", ["did you mean tag?", "see `tapit help build image`"]),
        ("tapit image push x:1 to=UPPER", ["not an image reference", "UPPER"]),
    ] {
        let run = bench.run(&User::script(), line);
        assert_eq!(run.status(), 2, "{line}: {}", run.err);
        for part in parts {
            assert!(run.err.contains(part), "{line}: {part:?} is not in {}", run.err);
        }
    }
    let pinned = format!("tapit image push x:1 to=y@sha256:{}", "0".repeat(64));
    assert!(bench.run(&User::script(), &pinned).err.contains("an image is pushed under a tag"));
}

#[test]
fn both_orders_of_the_words_mean_the_same() {
    for rest in ["docker_tag=v2 ./web -a shop", "", "--dry-run build_arg=A=1 build_arg=A=2"] {
        let noun_first = parse(&argv(&format!("tapit image build {rest}"))).expect("a line");
        assert_eq!(noun_first, parse(&argv(&format!("tapit build image {rest}"))).expect("a line"));
    }
    assert_eq!(parse(&argv("tapit image push a:b")), parse(&argv("tapit push image a:b")));
    let help = |line: &str| User::script().run(line).out;
    assert!(help("tapit help build image").contains("tapit image build"));
    for line in ["tapit help image build", "tapit image build --help", "tapit build image -h"] {
        assert_eq!(help(line), help("tapit help build image"), "{line}");
    }
    // No other command may be turned around.
    assert!(parse(&argv("tapit image list")).is_err());
    assert!(parse(&argv("tapit images build")).is_err());
}

#[test]
fn builders_are_completed() {
    let offers = |line: &str| {
        let (words, current) = line.rsplit_once(' ').expect("a blank before the cursor");
        User::script().run(&format!("tapit __complete {words} \"{current}\"")).out
    };
    assert_eq!(offers("image bu"), "build\n");
    assert_eq!(offers("image build builder=bu"), "builder=buildah\nbuilder=buildctl\n");
    assert_eq!(offers("build image build_arg=A=1 build_a"), "build_arg=\n", "as often as there are arguments");
}

#[test]
fn a_push_tells_where_the_image_went() {
    let frames = concat!(
        r#"{"progress":{"layers":[{"layer":"0123456789ab","state":"pushing","done":1,"total":2}]}}"#,
        "\n\n",
        r#"{"progress":{"layers":[{"layer":"0123456789ab","state":"done","done":2,"total":2}]}}"#,
        "\n",
        r#"{"done":IMAGE}"#,
        "\n"
    );
    let image = IMAGE.trim_matches(['[', ']']).replace("\n", "").replace("a:v2", "r.example/a:v2@sha256:0");
    let frames = frames.replace("IMAGE", &image);
    let shop = app("shop");
    let asked = "POST /v1/images/push?ref=a%3Ab&to=r.example%2Fa%3Av2";
    let server = Server::answering(&[("GET /v1/apps/shop", 200, &shop), (asked, 200, &frames)]);
    let run = server.user().run("tapit image push to=r.example/a:v2 -a shop");
    assert_eq!(run.status(), 0, "{}", run.err);
    assert!(run.err.ends_with("pushed a:b as r.example/a:v2@sha256:0\n"), "{}", run.err);

    let failed = format!("{{\"failed\":{}}}\n", refusal("denied", "image r.example/a:v2: it wants a login"));
    let asked = "POST /v1/images/push?ref=a%3Av2&to=a%3Av2";
    let run = Server::answering(&[(asked, 200, &failed)]).user().run("tapit push image a:v2");
    assert_eq!((run.status(), run.out.as_str()), (5, ""), "{}", run.err);
    assert!(run.err.contains("it wants a login"), "{}", run.err);
}
