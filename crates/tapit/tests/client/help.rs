//! Help, the manual page and the table behind them.

use tapit_cli::grammar::{Form, flags, table};
use tapit_model::{Code, PROCESS_KEYS};

use crate::support::User;

fn help(line: &str) -> String {
    let run = User::script().run(line);
    assert_eq!(run.status(), 0, "{line}: {}", run.err);
    assert_eq!(run.err, "", "{line}");
    run.out
}

#[test]
fn the_overview_names_every_command() {
    let text = help("tapit help");
    for row in table() {
        assert!(text.contains(&row.title()) && text.contains(row.summary), "{}", row.title());
    }
    assert_eq!(text, help("tapit --help"));
    assert_eq!(text, help("tapit -h"));
}

#[test]
fn help_of_a_command_is_the_same_from_every_side() {
    let text = help("tapit help create process");
    for line in [
        "tapit create process --help",
        "tapit create process name=x memory=wrong -h",
        "tapit -h create process",
        "tapit create --help process",
        "tapit help create processes",
    ] {
        assert_eq!(text, help(line), "{line}");
    }
    assert!(text.starts_with("Create a process"), "{text}");
    assert!(text.contains("usage: tapit create process name=NAME [key=value ...] [flags]"), "{text}");
}

#[test]
fn help_of_a_command_names_its_words_keys_flags_and_examples() {
    for row in table() {
        let text = help(&format!("tapit help {}", row.title()));
        for word in row.all_words().filter(|word| word.form != Form::Rest) {
            assert!(text.contains(word.help), "{}: {}", row.title(), word.key);
        }
        for info in row.keys.infos() {
            assert!(text.contains(&format!("{}={}", info.name, info.value)), "{}: {}", row.title(), info.name);
        }
        for flag in row.all_flags() {
            assert!(text.contains(&flag.shown()), "{}: {}", row.title(), flag.long);
        }
        for example in row.examples {
            assert!(text.contains(example.line), "{}: {}", row.title(), example.line);
        }
    }
}

#[test]
fn a_verb_or_a_noun_alone_shows_all_its_commands() {
    let create = help("tapit help create");
    assert!(create.contains("create process") && create.contains("create app"), "{create}");
    assert_eq!(create, help("tapit create --help"));
    let image = help("tapit help image");
    assert!(image.contains("import image") && image.contains("prune images"), "{image}");
}

#[test]
fn every_key_of_a_process_and_its_synonyms_are_explained() {
    let text = help("tapit help set process");
    for info in PROCESS_KEYS {
        for synonym in info.synonyms {
            assert!(text.contains(synonym), "{synonym}");
        }
    }
}

#[test]
fn exit_codes_are_those_of_the_model() {
    let text = help("tapit help exit-codes");
    for code in Code::ALL {
        assert!(text.contains(&format!("{}  {}", code.exit_status(), &code.describe()[..11])), "{text}");
    }
    assert!(text.contains("0  done"), "{text}");
}

#[test]
fn the_environment_is_explained_with_one_variable_per_flag_of_the_server() {
    let text = help("tapit help environment");
    for name in
        ["TAPIT_APP", "TAPIT_BASEURL", "TAPIT_TOKEN", "TAPIT_DATA_DIR", "TAPIT_API", "TAPIT_HTTP", "TAPIT_ENGINE"]
    {
        assert!(text.contains(name), "{name}");
    }
    for name in ["TAPIT_EPHEMERAL", "TAPIT_CAPACITY_MEMORY", "TAPIT_LOG_FORMAT", "NO_COLOR", ".tapit.toml"] {
        assert!(text.contains(name), "{name}");
    }
}

#[test]
fn the_manual_page_is_roff_and_names_every_command() {
    let page = help("tapit help man");
    assert!(page.starts_with(".TH TAPIT 1"), "{page}");
    for section in ["NAME", "SYNOPSIS", "OPTIONS", "COMMANDS", "EXIT STATUS", "ENVIRONMENT", "FILES"] {
        assert!(page.contains(&format!(".SH {section}\n")), "{section}");
    }
    for row in table() {
        assert!(page.contains(&format!(".SS \"{}\"", row.title().replace('-', "\\-"))), "{}", row.title());
    }
    for line in page.lines().filter(|line| line.starts_with('.')) {
        let request = line.split(' ').next().unwrap_or_default();
        assert!([".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".nf", ".fi"].contains(&request), "{line}");
    }
}

#[test]
fn the_version_is_printed_on_its_own() {
    assert_eq!(help("tapit --version"), format!("tapit {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(help("tapit -V"), help("tapit list --version"));
}

#[test]
fn no_line_of_help_is_wider_than_a_hundred_columns_but_for_examples() {
    for row in table() {
        let text = help(&format!("tapit help {}", row.title()));
        for line in text.lines().filter(|line| !line.contains("  tapit ")) {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}

#[test]
fn a_spelling_takes_a_value_everywhere_or_nowhere() {
    let all: Vec<_> = table().flat_map(|row| row.flags.iter()).chain(flags::EVERYWHERE).collect();
    for one in &all {
        for other in &all {
            let same = one.long == other.long || (one.short.is_some() && one.short == other.short);
            assert!(!same || one.value.is_some() == other.value.is_some(), "--{} and --{}", one.long, other.long);
        }
    }
}

#[test]
fn a_command_never_takes_two_flags_of_one_spelling() {
    for row in table() {
        let flags: Vec<_> = row.all_flags().collect();
        for (index, one) in flags.iter().enumerate() {
            for other in &flags[index + 1..] {
                assert!(one.long != other.long, "{}: --{}", row.title(), one.long);
                assert!(one.short.is_none() || one.short != other.short, "{}: -{:?}", row.title(), one.short);
            }
        }
    }
}
