//! Words that must not stand in a place: what a room must not know, shown by the names that it would have to write.

use super::files::SourceFile;
use super::{Finding, Weight, text};

/// A list of words and where they are out of place.
struct Rule {
    name: &'static str,
    words: &'static [&'static str],
    applies: fn(&SourceFile) -> bool,
    advice: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        name: "pure",
        words: &[
            "tokio",
            "std::fs",
            "std::env",
            "std::process",
            "std::thread",
            "SystemTime",
            "Instant::now",
            "Timestamp::now",
            "Zoned::now",
            "HashMap",
            "HashSet",
            "thread::sleep",
            "TcpStream",
            "TcpListener",
            "UdpSocket",
            "UnixStream",
        ],
        applies: |file| file.is_source() && in_crate(file, &["tapit-model", "tapit-plan"]),
        advice: "the model and the planner are pure and deterministic; take it as an input, and use BTreeMap and BTreeSet",
    },
    Rule {
        name: "router-is-ignorant",
        words: &["AppName", "ProcessName", "ProcessKey", "Process", "Rollout", "Generation"],
        applies: |file| file.is_source() && in_crate(file, &["tapit-router"]),
        advice: "the router knows routes and backends alone; translate in tapit-server",
    },
    Rule {
        name: "store-has-no-clock",
        words: &["SystemTime", "Instant", "now()", "tapit_engine"],
        applies: |file| file.is_source() && in_crate(file, &["tapit-store"]),
        advice: "the store is told the time and knows no engine; pass it in",
    },
    Rule {
        name: "client-has-no-store",
        words: &["tapit_store", "rusqlite"],
        applies: |file| file.is_rust() && in_crate(file, &["tapit"]),
        advice: "the client asks the server; it never opens the store",
    },
    Rule {
        name: "sdk-has-one-room",
        words: &[
            "aws_config",
            "aws_credential_types",
            "aws_sdk_ecs",
            "aws_sdk_elasticloadbalancingv2",
            "aws_sdk_sts",
            "aws_sigv4",
            "aws_smithy_http_client",
            "aws_smithy_runtime_api",
            "aws_smithy_types",
            "aws_smithy_xml",
            "aws_types",
        ],
        applies: |file| file.is_source() && !file.path.starts_with(SDK),
        advice: "only crates/tapit-ecs/src/aws/ names the SDK of AWS; everything else speaks in tapit_ecs::api",
    },
    Rule {
        name: "unsafe",
        words: &["unsafe"],
        applies: |file| file.is_rust() && ![LINUX, CALLS, PROBE].iter().any(|place| file.path.starts_with(place)),
        advice: "only crates/tapit-container/src/linux/ and crates/tapit-monitor/src/sys/ may hold unsafe code; put it there \
                 behind a safe function",
    },
    Rule {
        name: "process-wide",
        words: &["set_current_dir", "chdir", "fchdir", "unshare", "setns", "pivot_root", "chroot", "clone3"],
        applies: |file| file.is_source() && file.owner() != Some("xtask") && !file.path.starts_with(LINUX),
        advice: "this changes the whole process or its namespaces, so it belongs to the helpers in \
                 crates/tapit-container/src/linux/",
    },
];

/// The adapter to the SDK of AWS.
const SDK: &str = "crates/tapit-ecs/src/aws/";
const LINUX: &str = "crates/tapit-container/src/linux/";
/// The system calls of the program that has no library to make them.
const CALLS: &str = "crates/tapit-monitor/src/sys/";
/// The example that tries to break out of its container, and is part of no program.
const PROBE: &str = "examples/probe/";
/// The one file that gives engine orders.
const EXECUTOR: &str = "crates/tapit-server/src/execute.rs";
/// Split, so that this file does not hold what it looks for.
const UNFINISHED: [&str; 4] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("for", " now")];

fn in_crate(file: &SourceFile, owners: &[&str]) -> bool {
    file.owner().is_some_and(|owner| owners.contains(&owner))
}

pub fn findings(file: &SourceFile) -> Vec<Finding> {
    let mut findings = unfinished(file);
    if file.is_rust() {
        let code = text::code_without_tests(&file.text);
        for rule in RULES.iter().filter(|rule| (rule.applies)(file)) {
            let found = |word: &'static str| text::lines_with(&code, word).into_iter().map(move |line| (line, word));
            let found = rule.words.iter().copied().flat_map(found);
            findings
                .extend(found.map(|(line, word)| finding(file, line, rule.name, format!("{word}: {}", rule.advice))));
        }
        findings.extend(engine_orders(file, &code));
    }
    findings
}

/// Marks of unfinished work, in whatever text.
fn unfinished(file: &SourceFile) -> Vec<Finding> {
    let text = |word: &str| format!("{word}: finish it, or say what is missing in docs/operations.md");
    let lines = |word: &'static str| text::lines_with(&file.text, word).into_iter().map(move |line| (line, word));
    let found = UNFINISHED.into_iter().flat_map(lines);
    found.map(|(line, word)| finding(file, line, "unfinished", text(word))).collect()
}

/// `engine.apply(`, also where the call is broken into lines.
fn engine_orders(file: &SourceFile, code: &str) -> Vec<Finding> {
    // The suite that every engine must pass is nothing but orders.
    if !file.is_source() || file.path == EXECUTOR || in_crate(file, &["tapit-engine"]) {
        return Vec::new();
    }
    let orders = code.match_indices(".apply(").filter(|(at, _)| code[..*at].trim_end().ends_with("engine"));
    let line = |at: usize| code[..at].matches('\n').count() + 1;
    let advice = format!("only {EXECUTOR} gives engine orders; change what is wanted and let the loop plan");
    orders.map(|(at, _)| finding(file, line(at), "engine-orders", advice.clone())).collect()
}

fn finding(file: &SourceFile, line: usize, rule: &'static str, advice: String) -> Finding {
    Finding { weight: Weight::Error, path: file.path.clone(), line, rule, advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<(usize, &'static str)> {
        findings(&SourceFile::new(path, text)).into_iter().map(|finding| (finding.line, finding.rule)).collect()
    }

    #[test]
    fn the_planner_has_no_clock_no_files_and_no_unordered_maps() {
        for word in ["tokio::spawn(x)", "std::fs::read(x)", "std::env::var(x)", "Instant::now()", "HashMap::new()"] {
            assert_eq!(check("crates/tapit-plan/src/a.rs", word), [(1, "pure")], "{word}");
            assert_eq!(check("crates/tapit-server/src/a.rs", word), [], "{word}");
        }
        assert_eq!(check("crates/tapit-plan/src/a.rs", "// no tokio here\nuse std::net::Ipv4Addr;"), []);
        assert_eq!(check("crates/tapit-plan/src/a.rs", "#[cfg(test)]\nmod tests {\n    use std::fs;\n}"), []);
        assert_eq!(check("crates/tapit-plan/src/app/tests/mod.rs", "use std::fs;"), []);
    }

    #[test]
    fn each_room_knows_only_its_own() {
        assert_eq!(check("crates/tapit-router/src/a.rs", "fn f(x: AppName) {}"), [(1, "router-is-ignorant")]);
        assert_eq!(check("crates/tapit-store/src/a.rs", "let x = SystemTime::now();").len(), 2);
        assert_eq!(check("crates/tapit/src/a.rs", "use tapit_store::Store;"), [(1, "client-has-no-store")]);
        assert_eq!(check("crates/tapit-server/src/a.rs", "setns(fd, flags)"), [(1, "process-wide")]);
        assert_eq!(check("crates/tapit-container/src/linux/a.rs", "setns(fd, flags)"), []);
    }

    #[test]
    fn the_sdk_of_aws_has_one_room() {
        let names = "use aws_sdk_ecs::Client;";
        assert_eq!(check("crates/tapit-ecs/src/plan/a.rs", names), [(1, "sdk-has-one-room")]);
        assert_eq!(check("crates/tapit-ecs/src/aws/ecs/a.rs", names), []);
        assert_eq!(check("crates/tapit-ecs/tests/adapter/a.rs", names), []);
    }

    #[test]
    fn unsafe_code_has_one_place() {
        assert_eq!(check("crates/tapit-container/src/engine/a.rs", "unsafe { f() }"), [(1, "unsafe")]);
        assert_eq!(check("crates/tapit-container/src/linux/a.rs", "unsafe { f() }"), []);
        assert_eq!(check("crates/tapit-monitor/src/sys/calls.rs", "unsafe { f() }"), []);
        assert_eq!(check("crates/tapit-monitor/src/log.rs", "unsafe { f() }").len(), 1);
        assert_eq!(check("crates/tapit-model/src/a.rs", "#![forbid(unsafe_code)]"), []);
    }

    #[test]
    fn only_the_executor_gives_orders() {
        let text = "hub.engine.apply(x);\nhub\n    .engine\n    .apply(x);\nworld.apply(x);";
        assert_eq!(check("crates/tapit-server/src/reconcile.rs", text), [(1, "engine-orders"), (4, "engine-orders")]);
        assert_eq!(check(EXECUTOR, text), []);
    }

    #[test]
    fn unfinished_work_is_found_in_comments_too() {
        let text = format!("// {} later\nmktemp /tmp/x.XXXXXX\n// good enough {}", UNFINISHED[0], UNFINISHED[3]);
        assert_eq!(check("scripts/x.sh", &text), [(1, "unfinished"), (3, "unfinished")]);
    }
}
