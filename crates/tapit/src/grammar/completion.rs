//! Completion: what may stand at the cursor, from the table alone.
//!
//! The scripts for the shells are thin: they hand the unfinished line to the hidden `tapit __complete`, so that all
//! shells offer the same and a new row needs no new script. Names that only a server knows are left to `commands`.

use tapit_model::EngineKind;

use super::lex::{lex, spells};
use super::{APP, Flag, Form, IMAGE, PROCESS, REGISTRY, Row, Word, build, flags, resolve, table, verbs};
use crate::builder::Builder;

/// What a word's value is a name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    Nothing,
    Apps,
    Processes,
    Images,
    Registries,
    /// Left to the shell.
    Files,
    Topics,
    Shells,
    Builders,
    Engines,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    pub const ALL: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

    pub fn name(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
        }
    }

    pub fn script(self) -> &'static str {
        match self {
            Shell::Bash => include_str!("completion/tapit.bash"),
            Shell::Zsh => include_str!("completion/tapit.zsh"),
            Shell::Fish => include_str!("completion/tapit.fish"),
        }
    }
}

/// What may stand at the cursor: fixed words, and names of a kind, each after a prefix such as `name=`.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Offer {
    pub fixed: Vec<String>,
    pub named: Option<(String, NameKind)>,
}

impl Offer {
    fn fixed<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        Self { fixed: words.into_iter().map(str::to_owned).collect(), named: None }
    }

    fn value(prefix: &str, kind: NameKind) -> Self {
        let words: &[&str] = match kind {
            NameKind::Nothing | NameKind::Files => &[],
            NameKind::Apps | NameKind::Processes | NameKind::Images | NameKind::Registries => {
                return Self { fixed: Vec::new(), named: Some((prefix.to_owned(), kind)) };
            }
            NameKind::Topics => return Self::fixed(topics()),
            NameKind::Shells => &Shell::ALL.map(Shell::name),
            NameKind::Builders => &Builder::ALL.map(Builder::program),
            NameKind::Engines => &EngineKind::ALL.map(EngineKind::as_str),
        };
        Self { fixed: words.iter().map(|word| format!("{prefix}{word}")).collect(), named: None }
    }
}

fn topics() -> Vec<&'static str> {
    let mut topics = verbs();
    topics.extend([APP.one, PROCESS.one, IMAGE.one, REGISTRY.one, "exit-codes", "environment", "man"]);
    topics
}

/// What may stand in the place of `current`, after `words`. Not filtered by what `current` already holds.
pub fn offer(words: &[String], current: &str) -> Offer {
    if let Some(flag) = words.last().and_then(|word| waiting_flag(word)) {
        return flag_value(flag);
    }
    let Ok(lexed) = lex(words) else { return Offer::default() };
    let resolved = resolve::resolve(&lexed.words).ok();
    if current.starts_with('-') {
        let legal: Vec<&'static Flag> =
            resolved.map_or_else(|| flags::EVERYWHERE.to_vec(), |(row, _)| row.all_flags().collect());
        return Offer { fixed: legal.iter().map(|flag| format!("--{}", flag.long)).collect(), named: None };
    }
    match (resolved, lexed.words.as_slice()) {
        (Some((row, named)), words) => row_offer(row, &words[named..], current),
        (None, []) => Offer::fixed(verbs()),
        (None, [first]) => {
            let nouns = table().filter(|row| row.verb == first).filter_map(Row::noun);
            let turned = build::ROWS.iter().filter(|row| row.noun() == Some(first)).map(|row| row.verb);
            Offer::fixed(nouns.chain(turned))
        }
        (None, _) => Offer::default(),
    }
}

/// The flag that the last word leaves waiting for its value.
fn waiting_flag(word: &str) -> Option<&'static Flag> {
    let all = flags::EVERYWHERE.iter().chain(table().flat_map(|row| row.flags.iter()));
    all.copied().find(|flag| flag.value.is_some() && spells(flag, word))
}

fn flag_value(flag: &Flag) -> Offer {
    if flag == &flags::APP {
        return Offer::value("", NameKind::Apps);
    }
    Offer::fixed(flag.choices.iter().copied())
}

fn row_offer(row: &'static Row, words: &[String], current: &str) -> Offer {
    if let Some((key, _)) = current.split_once('=') {
        let spelled = |word: &&Word| word.key == key || word.synonyms.contains(&key);
        if let Some(word) = row.all_words().find(spelled) {
            return Offer::value(&format!("{key}="), word.names);
        }
        if key == "image" {
            return Offer::value("image=", NameKind::Images);
        }
        let info = row.keys.infos().find(|info| info.name == key);
        let choices = info.filter(|info| !info.value.contains(char::is_uppercase)).map(|info| info.value.split('|'));
        return Offer { fixed: choices.into_iter().flatten().map(|v| format!("{key}={v}")).collect(), named: None };
    }
    let typed = |key: &str| words.iter().any(|word| word.split_once('=').is_some_and(|(typed, _)| typed == key));
    let bare = words.iter().filter(|word| !word.contains('=')).count();
    let free = |word: &&Word| match word.form {
        Form::Keyed | Form::Each | Form::Text => false,
        Form::Bare => bare == 0 && !typed(word.key),
        Form::Rest => true,
    };
    let mut offer = match row.words.iter().find(free) {
        Some(word) => Offer::value("", word.names),
        None => Offer::default(),
    };
    let again = |key: &str| row.words.iter().any(|word| word.form == Form::Each && word.key == key);
    let keys = row.key_names().into_iter().filter(|key| again(key) || !typed(key));
    offer.fixed.extend(keys.map(|key| format!("{key}=")));
    offer
}

/// The app that an unfinished line names, if it names one.
pub fn app_in(words: &[String]) -> Option<String> {
    let lexed = lex(words).ok()?;
    let flag =
        lexed.flags.iter().find(|typed| spells(&flags::APP, &typed.spelled)).and_then(|typed| typed.value.clone());
    flag.or_else(|| lexed.words.iter().find_map(|word| word.strip_prefix("app=").map(str::to_owned)))
}
