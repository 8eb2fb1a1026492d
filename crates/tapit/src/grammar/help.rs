//! Help texts, made from the table.

use tapit_model::{Code, KeyInfo, Refusal, nearest};

use super::{Flag, Form, Keys, Noun, Object, Row, flags, man, resolve, server, table, verbs};

const WIDTH: usize = 96;

/// What help can be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    Overview,
    /// The commands of a verb, of a noun, or of both.
    Commands {
        verb: Option<&'static str>,
        noun: Option<&'static Noun>,
    },
    ExitCodes,
    Environment,
    Man,
}

impl Topic {
    /// The topic that the words after `help` name.
    pub fn find(words: &[String]) -> Result<Self, Refusal> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let verb = |word: &str| verbs().into_iter().find(|verb| *verb == word);
        let noun = |word: &str| table().filter_map(Row::about_noun).find(|noun| noun.is(word));
        let topic = match words.as_slice() {
            [] => Some(Topic::Overview),
            ["exit-codes"] => Some(Topic::ExitCodes),
            ["environment"] => Some(Topic::Environment),
            ["man"] => Some(Topic::Man),
            [word] => match (verb(word), noun(word)) {
                (None, None) => None,
                (Some(verb), _) => Some(Topic::Commands { verb: Some(verb), noun: None }),
                (None, noun) => Some(Topic::Commands { verb: None, noun }),
            },
            [first, second] => match (verb(first), noun(second), noun(first), resolve::noun_first(first, second)) {
                (Some(verb), Some(noun), ..) => Some(Topic::Commands { verb: Some(verb), noun: Some(noun) }),
                (_, _, noun, Some(row)) => Some(Topic::Commands { verb: Some(row.verb), noun }),
                _ => None,
            },
            _ => None,
        };
        topic.filter(|topic| !matches!(topic, Topic::Commands { .. }) || !topic.rows().is_empty()).ok_or_else(|| {
            let near = words.first().and_then(|word| nearest(word, verbs()));
            let guess = near.map(|near| format!("did you mean `tapit help {near}`? ")).unwrap_or_default();
            let list = verbs().join(", ");
            let asked = words.join(" ");
            Refusal::usage(format!(
                "no help about {asked:?}; {guess}the verbs are {list}; see also `tapit help exit-codes`"
            ))
        })
    }

    /// The topic nearest to an unfinished command line that asks for help.
    pub fn around(words: &[String]) -> Result<Self, Refusal> {
        Topic::find(words).or_else(|refusal| match words.split_first() {
            Some((verb, [_])) => Topic::find(std::slice::from_ref(verb)),
            Some(_) | None => Err(refusal),
        })
    }

    fn rows(&self) -> Vec<&'static Row> {
        match self {
            Topic::Commands { verb, noun } => table()
                .filter(|row| verb.is_none_or(|verb| row.verb == verb))
                .filter(|row| noun.is_none_or(|noun| row.is_about(noun.one)))
                .collect(),
            Topic::Overview | Topic::ExitCodes | Topic::Environment | Topic::Man => Vec::new(),
        }
    }

    /// The text, ending in a newline.
    pub fn text(&self) -> String {
        match self {
            Topic::Overview => overview(),
            Topic::ExitCodes => exit_codes(),
            Topic::Environment => environment(),
            Topic::Man => man::page(),
            Topic::Commands { .. } => {
                let texts: Vec<String> = self.rows().into_iter().map(command).collect();
                texts.join("\n\n")
            }
        }
    }
}

pub const TAGLINE: &str = "Name the processes of an app, say how many instances of each and how big, and they run.";

fn overview() -> String {
    let rows: Vec<(String, String)> = table().map(|row| (row.title(), row.summary.to_owned())).collect();
    let mut text =
        format!("{TAGLINE}\n\nusage: tapit [-a APP] [-o table|json] VERB [NOUN] [key=value ...] [flags]\n\n");
    text += &pairs("commands", &rows);
    text += &pairs("flags of every command", &flags::EVERYWHERE.iter().map(|flag| flag_pair(flag)).collect::<Vec<_>>());
    text += "`tapit help VERB NOUN` shows the words, flags and examples of a command. See also\n";
    text += "`tapit help exit-codes`, `tapit help environment` and `tapit help man`.\n";
    text
}

/// The usage line of a command.
pub fn usage(row: &Row) -> String {
    let mut parts = vec!["tapit".to_owned(), row.title()];
    parts.extend(row.words.iter().map(|word| word.shown.to_owned()));
    match row.keys {
        Keys::Nothing => {}
        Keys::OnCreate | Keys::OnTask => parts.push("[key=value ...]".to_owned()),
        Keys::OnSet => parts.push("key=value ...".to_owned()),
    }
    parts.push("[flags]".to_owned());
    parts.join(" ")
}

fn command(row: &'static Row) -> String {
    let mut text = format!("{}\n\nusage: {}\n\n", row.summary, wrap(&usage(row), "usage: ".len()));
    if !row.about.is_empty() {
        text += &wrap(row.about, 0);
        text += "\n\n";
    }
    text += &pairs("words", &word_pairs(row));
    text += &pairs("keys", &row.keys.infos().map(key_pair).collect::<Vec<_>>());
    text += &pairs("flags", &row.all_flags().map(flag_pair).collect::<Vec<_>>());
    text += "examples:\n";
    for example in row.examples {
        text += &format!("  # {}\n  {}\n", example.what, example.line);
    }
    let statuses: Vec<String> = row.exits.iter().map(|code| code.exit_status().to_string()).collect();
    text += &format!("\nexit status: 0, {}; see `tapit help exit-codes`\n", statuses.join(", "));
    text
}

pub fn word_pairs(row: &'static Row) -> Vec<(String, String)> {
    row.all_words()
        .map(|word| {
            let shown = match word.form {
                Form::Rest => word.shown.to_owned(),
                Form::Keyed | Form::Each | Form::Bare | Form::Text => word.shown.trim_matches(['[', ']']).to_owned(),
            };
            (shown, format!("{}{}", word.help, also(word.synonyms)))
        })
        .collect()
}

pub fn key_pair(info: &KeyInfo) -> (String, String) {
    (format!("{}={}", info.name, info.value), format!("{}{}", info.help, also(info.synonyms)))
}

fn also(synonyms: &[&str]) -> String {
    if synonyms.is_empty() { String::new() } else { format!(" (also {})", synonyms.join(", ")) }
}

pub fn flag_pair(flag: &Flag) -> (String, String) {
    let variable = flag.variable.map(|name| format!(" [{name}]")).unwrap_or_default();
    (flag.shown(), format!("{}{variable}", flag.help))
}

fn exit_codes() -> String {
    let mut rows = vec![("0".to_owned(), "done".to_owned())];
    rows.extend(Code::ALL.map(|code| (code.exit_status().to_string(), code.describe().to_owned())));
    pairs("exit status", &rows).trim_end().to_owned() + "\n"
}

/// The variables that commands read, and those that stand for a flag of the server.
pub fn variables() -> Vec<(String, String)> {
    let fixed = [
        ("TAPIT_APP", "the app, where neither -a nor app= names one; next is .tapit.toml, then the only app there is"),
        ("TAPIT_BASEURL", "the server: unix:///PATH, http://HOST:PORT or https://HOST; without it the local server"),
        ("TAPIT_TOKEN", "the credential that is sent to the server"),
        ("TAPIT_DATA_DIR", "the data directory of the local server, which holds its socket; also --data-dir"),
        ("NO_COLOR", "when set, nothing is coloured"),
    ];
    let fixed = fixed.map(|(name, help)| (name.to_owned(), help.to_owned()));
    let flags = server::ROWS.iter().filter(|row| row.object == Object::Nothing).flat_map(|row| row.flags.iter());
    let of_server = flags.filter(|flag| **flag != &server::DATA_DIR).filter_map(|flag| {
        Some((flag.variable?.to_owned(), format!("--{} of tapit server: {}", flag.long, flag.help)))
    });
    fixed.into_iter().chain(of_server).collect()
}

fn environment() -> String {
    let mut text = pairs("environment", &variables());
    text += ".tapit.toml in the working directory or a parent holds the app: app = \"shop\"\n";
    text
}

/// A titled list in two columns; nothing for an empty one.
fn pairs(title: &str, rows: &[(String, String)]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let left = rows.iter().map(|(left, _)| left.chars().count()).max().unwrap_or(0).min(30);
    let mut text = format!("{title}:\n");
    for (name, help) in rows {
        let help = wrap(help, left + 4);
        if name.chars().count() > left {
            text += &format!("  {name}\n{:indent$}{help}\n", "", indent = left + 4);
        } else {
            text += &format!("  {name:left$}  {help}\n");
        }
    }
    text + "\n"
}

/// Breaks a text into lines; all but the first are indented.
fn wrap(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut column = indent;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > indent && column + 1 + width > WIDTH {
            out += &format!("\n{:indent$}", "");
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out += word;
        column += width;
    }
    out
}
