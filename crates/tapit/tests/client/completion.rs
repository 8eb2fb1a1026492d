//! Completion: what is offered, and scripts that a shell accepts.

use tapit_cli::grammar::{table, verbs};

use crate::server::Server;
use crate::support::{Run, User};

fn offers(user: &User, line: &str) -> Vec<String> {
    let (words, current) = line.rsplit_once(' ').expect("a blank before the cursor");
    let line = format!("{} \"{current}\"", words.replacen("tapit", "tapit __complete", 1));
    let Run { out, err, .. } = user.run(&line);
    assert_eq!(err, "");
    out.lines().map(str::to_owned).collect()
}

fn offline(line: &str) -> Vec<String> {
    offers(&User::script(), line)
}

#[test]
fn verbs_then_nouns_then_keys_are_offered() {
    assert_eq!(offline("tapit "), verbs());
    assert_eq!(offline("tapit cr"), ["create"]);
    assert_eq!(offline("tapit create "), ["process", "task", "app"]);
    assert_eq!(offline("tapit -a shop list pro"), ["processes"]);
    assert_eq!(offline("tapit set process name=x mem"), ["memory="]);
    assert_eq!(offline("tapit set process name=x memory=1 mem"), Vec::<String>::new());
    assert_eq!(offline("tapit set process disabled="), ["disabled=true", "disabled=false"]);
    assert_eq!(offline("tapit nonsense more "), Vec::<String>::new());
}

#[test]
fn flags_of_the_command_and_their_values_are_offered() {
    assert_eq!(offline("tapit restart process --w"), ["--wait"]);
    assert_eq!(offline("tapit list processes --w"), Vec::<String>::new());
    assert_eq!(offline("tapit list processes -o "), ["table", "json"]);
    assert_eq!(offline("tapit server --engine e"), ["embedded", "ecs"]);
    assert_eq!(offline("tapit diff app shop engine="), ["engine=embedded", "engine=ecs"]);
    assert_eq!(offline("tapit completion "), ["bash", "zsh", "fish"]);
    assert!(offline("tapit help e").contains(&"exit-codes".to_owned()));
}

#[test]
fn every_command_is_reached_by_completing_word_after_word() {
    for row in table() {
        assert!(offline("tapit ").contains(&row.verb.to_owned()), "{}", row.verb);
        if let Some(noun) = row.noun() {
            assert!(offline(&format!("tapit {} ", row.verb)).contains(&noun.to_owned()), "{}", row.title());
        }
        for info in row.keys.infos() {
            let offered = offline(&format!("tapit {} x ", row.title()));
            assert!(offered.contains(&format!("{}=", info.name)), "{}: {}", row.title(), info.name);
        }
    }
}

#[test]
fn names_come_from_the_server() {
    let processes = format!("[{}]", crate::server::process("worker", "running"));
    let server = Server::answering(&[("GET /v1/apps/shop/processes", 200, &processes)]);
    assert_eq!(offers(&server.user(), "tapit -a shop restart process name=w"), ["name=worker"]);
    let server = Server::answering(&[("GET /v1/apps/shop/processes", 200, &processes)]);
    assert!(offers(&server.user(), "tapit restart process app=shop ").contains(&"worker".to_owned()));
    let apps = format!("[{}]", crate::server::app("shop"));
    let server = Server::answering(&[("GET /v1/apps", 200, &apps)]);
    assert_eq!(offers(&server.user(), "tapit list processes -a "), ["shop"]);
}

#[test]
fn a_server_that_is_away_offers_no_names_and_says_nothing() {
    assert_eq!(offline("tapit show process name="), Vec::<String>::new());
    assert_eq!(offline("tapit -a "), Vec::<String>::new());
}

#[test]
fn each_shell_has_a_script() {
    for (shell, part) in
        [("bash", "complete -o default -F _tapit tapit"), ("zsh", "compdef"), ("fish", "complete -c tapit")]
    {
        let run = User::script().run(&format!("tapit completion {shell}"));
        assert_eq!(run.status(), 0);
        assert!(run.out.contains(part) && run.out.contains("__complete"), "{}", run.out);
    }
}

/// Sources the script in a real bash and completes as the Tab key does.
#[test]
fn bash_completes_words_that_hold_an_equals_sign() {
    let script = User::script().run("tapit completion bash").out;
    let check = |line: &str, words: &str, expected: &str| {
        let program = format!(
            "{script}\nCOMP_WORDBREAKS=$' \\t\\n\"\\'><=;|&(:'\nCOMP_WORDS=({words})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             COMP_LINE='{line}'\nCOMP_POINT=${{#COMP_LINE}}\n_tapit\nprintf '%s,' \"${{COMPREPLY[@]}}\""
        );
        let output = std::process::Command::new("bash").arg("-c").arg(program).output().expect("bash runs");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{line}");
    };
    let tapit = env!("CARGO_BIN_EXE_tapit");
    check(&format!("{tapit} create pro"), &format!("{tapit} create pro"), "process,");
    let line = format!("{tapit} set process disabled=t");
    check(&line, &format!("{tapit} set process disabled = t"), "true,");
    let line = format!("{tapit} set process name=x mem");
    check(&line, &format!("{tapit} set process name = x mem"), "memory=,");
}
