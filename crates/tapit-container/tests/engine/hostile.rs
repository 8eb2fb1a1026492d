//! Images that mean harm, as far as starting a container of them: a reason, or a correct container, and nothing on the
//! host that was changed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tapit_container::engine::Embedded;
use tapit_engine::Engine;
use tapit_engine::conformance::{Behaviour, Subject};
use tapit_model::{
    AppName, Check, CommandLine, Formation, ImageRef, InstanceKey, InstanceObserved, MemoryMib, Presence, ProcessKey,
    ProcessName, ProcessTarget, Revision, Seconds, Size,
};

use crate::archives::{Layer, docker_save, image_with};
use crate::image;
use crate::subject::{Bed, run_own};

enum Outcome {
    /// It does not start, for a reason with these words.
    Refused(&'static str),
    /// It starts and writes these lines first.
    Writes(&'static [&'static str]),
}

struct Case {
    /// The name of its process, too.
    name: &'static str,
    layer: Layer,
    /// What the image says of itself.
    run: String,
    /// Instead of the image's own command.
    script: Option<&'static str>,
    outcome: Outcome,
}

fn case(name: &'static str, layer: Layer, outcome: Outcome) -> Case {
    Case { name, layer, run: r#"{"Cmd":["sleep","1000"]}"#.to_owned(), script: None, outcome }
}

fn as_user(name: &'static str, user: &str, outcome: Outcome) -> Case {
    let run = format!(r#"{{"Cmd":["sleep","1000"],"User":"{user}"}}"#);
    Case { run, ..case(name, Layer::new().file("x", b""), outcome) }
}

fn cases(victim: &str) -> Vec<Case> {
    use Outcome::{Refused, Writes};
    let aims = |name: &str| Layer::new().symlink(name, victim);
    let climbs = |name: &str| Layer::new().symlink(name, &format!("{}{victim}", "../".repeat(12)));
    let file = format!("{victim}/file");
    let etc = ["hosts", "resolv.conf", "hostname", "mtab"]
        .iter()
        .fold(Layer::new(), |layer, name| layer.symlink(&format!("etc/{name}"), &file));
    let passwd = |content: &[u8]| Layer::new().file("etc/passwd", content);
    let script =
        "cat /etc/hostname | head -c 3; echo; [ -c /dev/null ] && [ -d /proc/self ] && echo real; exec sleep 1000";
    vec![
        case("dev", aims("dev"), Refused("/dev is a symbolic link")),
        case("proc", climbs("proc"), Refused("/proc is a symbolic link")),
        case("sys", aims("sys"), Refused("/sys is a symbolic link")),
        case("etc", climbs("etc"), Refused("/etc is a symbolic link")),
        case("dev-file", Layer::new().file("dev", b""), Refused("/dev is not a directory")),
        Case { script: Some(script), ..case("etc-links", etc, Writes(&["etc", "real"])) },
        Case {
            run: r#"{"Cmd":["true"],"User":"app"}"#.to_owned(),
            ..case("passwd", aims("etc/passwd"), Refused("does not know"))
        },
        as_user("user", "nobody-of-this-name", Refused("whom its /etc/passwd does not know")),
        as_user("overflow", "4294967296", Refused("ids go up to")),
        as_user("overflow-group", "0:2147483648", Refused("ids go up to")),
        as_user("below-zero", "-1", Refused("does not know")),
        Case {
            run: r#"{"Cmd":["true"],"User":"app"}"#.to_owned(),
            ..case("overflow-list", passwd(b"app:x:4294967296:0::/:/bin/sh\n"), Refused("does not know"))
        },
        Case { run: "{}".to_owned(), ..case("no-command", Layer::new().file("x", b""), Refused("command")) },
        Case {
            run: r#"{"Cmd":[""]}"#.to_owned(),
            ..case("empty-command", Layer::new().file("x", b""), Refused("there is no command to run"))
        },
        Case {
            run: r#"{"Cmd":["true"],"WorkingDir":"/proc/self/fd/7"}"#.to_owned(),
            ..case("cwd", Layer::new().file("x", b""), Refused("no image can have one"))
        },
    ]
}

fn key(case: &Case) -> ProcessKey {
    let app = AppName::parse("shop").expect("a legal name");
    ProcessKey::new(&app, &ProcessName::parse(case.name).expect("a legal name"))
}

/// Imports the image of a case, and asks for an instance of it.
async fn start(bed: &Bed, engine: &Embedded, case: &Case, layers: Vec<Vec<u8>>) {
    let reference = format!("hostile-{}:v1", case.name);
    let image = image_with(&[vec![image::layer()], layers].concat(), &case.run);
    let archive = tempfile::NamedTempFile::new().expect("a file");
    fs::write(archive.path(), docker_save(&[(&image, &[reference.as_str()])])).expect("writable");
    engine.images().import(archive.path(), None).await.expect("imports");
    let image = engine.prepare(&ImageRef::parse(&reference).expect("a name")).await.expect("is held").image;
    let script = |script| CommandLine::parse(&format!("sh -c '{script}'")).expect("a legal command");
    let formation = Formation {
        image,
        command: case.script.map(script),
        check: Check::Uptime(Seconds(1)),
        size: Size { memory: MemoryMib::from_mib(16), ..bed.formation(Behaviour::Serves).size },
        ..bed.formation(Behaviour::Serves)
    };
    let target =
        ProcessTarget { key: key(case), revision: Revision(1), presence: Presence::Present(Box::new(formation)) };
    engine.apply(target).await.expect("takes orders");
}

/// Waits until the outcome has come, and stops the process.
async fn check(bed: &Bed, engine: &Embedded, case: &Case) {
    let mut seen: Vec<InstanceObserved> = Vec::new();
    for _ in 0..bed.patience() {
        let observed = engine.observe().await.expect("can be looked at");
        seen = observed.into_iter().find(|one| one.key == key(case)).map_or(Vec::new(), |one| one.instances);
        if came(engine, case, &seen).await {
            let absent = Presence::Absent(bed.formation(Behaviour::Serves).lifecycle);
            let target = ProcessTarget { key: key(case), revision: Revision(2), presence: absent };
            engine.apply(target).await.expect("takes orders");
            return;
        }
        bed.pass().await;
    }
    panic!("{}: does not come so far; seen last: {seen:#?}", case.name);
}

async fn came(engine: &Embedded, case: &Case, seen: &[InstanceObserved]) -> bool {
    match case.outcome {
        Outcome::Refused(words) => seen.iter().any(|one| one.reason.as_ref().is_some_and(|it| it.text.contains(words))),
        Outcome::Writes(lines) => {
            let Some(one) = seen.first() else { return false };
            let log = engine.log_tail(&InstanceKey { app: key(case).app, id: one.id.clone() }, 100).await;
            log.is_ok_and(|log| log.starts_with(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()))
        }
    }
}

#[test]
fn a_hostile_image_ends_in_a_reason_or_a_correct_container_and_the_host_is_untouched() {
    run_own(|bed| {
        Box::pin(async move {
            let victim = tempfile::tempdir().expect("a directory");
            fs::write(victim.path().join("file"), "app:x:0:0::/:/bin/sh\n").expect("a file");
            let before = look(victim.path());
            let engine = bed.embedded();
            engine.adopt(Vec::new()).await.expect("adopts");
            for mut case in cases(victim.path().to_str().expect("a path")) {
                let layer = std::mem::replace(&mut case.layer, Layer::new()).done();
                start(bed, &engine, &case, vec![layer]).await;
                check(bed, &engine, &case).await;
                assert_eq!(look(victim.path()), before, "{}: the host was changed", case.name);
            }
        })
    });
}

#[test]
fn an_image_of_as_many_layers_as_overlayfs_takes_is_imported_and_runs() {
    run_own(|bed| {
        Box::pin(async move {
            let engine = bed.embedded();
            engine.adopt(Vec::new()).await.expect("adopts");
            // Each layer adds a file and replaces another; busybox is the five hundredth.
            let layer = |nth: u32| {
                let text = format!("{nth}\n");
                Layer::new().file(&format!("d/{nth}"), b"").file("last", text.as_bytes()).done()
            };
            let layers: Vec<Vec<u8>> = (1..500).map(layer).collect();
            let script = Some("cat /last; set -- /d/*; echo $#; exec sleep 1000");
            let case = case("deep", Layer::new(), Outcome::Writes(&["499", "499"]));
            let case = Case { script, ..case };
            start(bed, &engine, &case, layers).await;
            check(bed, &engine, &case).await;
        })
    });
}

/// A directory and its file, as far as anybody could change them.
fn look(victim: &Path) -> Vec<String> {
    let names = fs::read_dir(victim).expect("listed").map(|entry| entry.expect("an entry").path());
    let times = names.chain([victim.to_owned()]).map(|path| {
        let it = fs::symlink_metadata(&path).expect("looked at");
        format!("{} {:o} {} {}.{}", path.display(), it.mode(), it.size(), it.ctime(), it.ctime_nsec())
    });
    let mut seen: Vec<String> = times.chain(fs::read_to_string(victim.join("file"))).collect();
    seen.sort();
    seen
}
