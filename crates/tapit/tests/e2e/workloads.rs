//! Programs as a distribution ships them, unchanged, with the confinement that every process gets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::views::{address, instances};
use crate::harness::{Server, debian, holds, until};

/// Starts as root, as in most images, makes its cluster as the package's own user, and answers a query.
const POSTGRES: &str = "bin=/usr/lib/postgresql/15/bin; as=\"setpriv --reuid=postgres --regid=postgres --init-groups\"; \
    mkdir -p /data && chown postgres /data && $as $bin/initdb -D /data -A trust >/dev/null && \
    $as $bin/pg_ctl -D /data -w -o \"-k /tmp\" start >/dev/null && \
    $as psql -h /tmp -At -d postgres -c \"select 6 * 7\" && exec sleep 1000000";

/// What people type to look around.
const TOOLS: &str = "yes | head -n 1; ping -c 1 -q 127.0.0.1 >/dev/null && echo pinged itself; \
    gateway=$(awk \"\\$2 == 0 && NR > 1 {print \\$3}\" /proc/net/route | sed \"s/\\(..\\)\\(..\\)\\(..\\)\\(..\\)/0x\\4 0x\\3 0x\\2 0x\\1/\"); \
    ping -c 1 -q $(printf %d.%d.%d.%d $gateway) >/dev/null && echo pinged the gateway; \
    ps -e -o pid=,comm= && exec sleep 1000000";

/// Everything that the instances of a process have written.
fn written(server: &Server, process: &str) -> String {
    let instances = server.data().join("instances/programs").join(process);
    let serials = std::fs::read_dir(instances).into_iter().flatten().flatten();
    let files = serials.flat_map(|serial| std::fs::read_dir(serial.path()).into_iter().flatten().flatten());
    let logs = files.filter(|file| file.file_name().to_string_lossy().starts_with("log"));
    logs.filter_map(|log| std::fs::read_to_string(log.path()).ok()).collect()
}

fn until_written(server: &Server, process: &str, words: &[&str]) {
    until(90, &format!("{process} writes {words:?}"), || {
        let text = written(server, process);
        holds(words.iter().all(|word| text.contains(word)), text)
    });
}

/// Says something to the one instance of a process; answers what it says back.
fn say(server: &Server, process: &str, words: &[u8]) -> String {
    let shown = server.show(process);
    let instance = instances(&shown, &["healthy"]).next().unwrap_or_else(|| panic!("{process} is healthy: {shown:#}"));
    let mut stream = TcpStream::connect(address(&shown, instance)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
    stream.write_all(words).expect("it listens");
    let mut bytes = [0; 4096];
    let read = stream.read(&mut bytes).expect("it answers");
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

#[test]
fn programs_of_a_distribution_run_unchanged() {
    let server = Server::start();
    server.tapit(&format!("import image {}", debian::archive().display())).ok();
    let image = debian::NAME;
    let web = "port=80 command='nginx -g \"daemon off;\"'";
    server.tapit(&format!("create app programs image={image} memory=64M cpu=0.5 {web}")).ok();
    for (name, rest) in [
        ("cache", "memory=64M port=6379 command='redis-server --bind 0.0.0.0 --protected-mode no --save \"\"'"),
        ("files", "memory=64M port=8000 command='python3 -m http.server 8000'"),
        ("database", &format!("memory=256M port=none command='{POSTGRES}'")),
        ("tools", &format!("memory=64M port=none command='{TOOLS}'")),
    ] {
        server.tapit(&format!("create process name={name} image={image} cpu=0.5 {rest}")).ok();
    }
    for process in ["default", "cache", "files", "database", "tools"] {
        until(90, &format!("{process} is healthy"), || {
            let shown = server.show(process);
            let healthy = instances(&shown, &["healthy"]).count() == 1;
            holds(healthy, format!("{shown:#}\n{}", written(&server, process)))
        });
    }
    let page = server.get("programs.localhost", "/");
    assert!(page.status == 200 && page.body.contains("nginx"), "{} {}", page.status, page.body);
    assert_eq!(say(&server, "cache", b"PING\r\n"), "+PONG\r\n");
    let listing = say(&server, "files", b"GET / HTTP/1.0\r\n\r\n");
    assert!(listing.starts_with("HTTP/1.0 200 "), "{listing}");
    until_written(&server, "database", &["42"]);
    until_written(&server, "tools", &["pinged itself", "pinged the gateway"]);
}
