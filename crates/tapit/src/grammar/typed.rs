//! A command line of a known row: every word has a key, every flag is one that the row takes. Values are still text;
//! the row's `mean` gives them their types.

use std::collections::BTreeMap;

use tapit_model::{AppName, ImageRef, ProcessName, ProcessPatch, Refusal, Words, nearest};

use super::lex::{TypedFlag, spells};
use super::{Flag, Form, Keys, Row, Word, flags};
use crate::invocation::{Common, Format};

#[derive(Debug)]
pub struct Typed {
    pub row: &'static Row,
    /// The row's own words, under their key.
    own: BTreeMap<&'static str, String>,
    /// Words of the form `Each`, in the order in which they were typed.
    each: Vec<(&'static str, String)>,
    /// Keys of a process, as spelled.
    pub keys: Words,
    /// What a word of the form `Rest` took.
    pub rest: Vec<String>,
    flags: BTreeMap<&'static str, Option<String>>,
}

impl Typed {
    pub fn new(row: &'static Row, words: &[String], typed_flags: &[TypedFlag]) -> Result<Self, Refusal> {
        let (keys, rest) = (Words::new(), Vec::new());
        let mut typed = Self { row, own: BTreeMap::new(), each: Vec::new(), keys, rest, flags: BTreeMap::new() };
        for flag in typed_flags {
            typed.take_flag(flag)?;
        }
        for word in words {
            typed.take_word(word)?;
        }
        Ok(typed)
    }

    /// The value of one of the row's own words.
    pub fn own(&self, key: &str) -> Option<&str> {
        self.own.get(key).map(String::as_str)
    }

    /// The values of a word that may be given more than once.
    pub fn each(&self, key: &str) -> impl Iterator<Item = &str> {
        self.each.iter().filter(move |(typed, _)| *typed == key).map(|(_, value)| value.as_str())
    }

    pub fn has(&self, flag: &Flag) -> bool {
        self.flags.contains_key(flag.long)
    }

    pub fn value(&self, flag: &Flag) -> Option<&str> {
        self.flags.get(flag.long)?.as_deref()
    }

    /// What any command may be given. `-a` and `app=` are one thing and must agree.
    pub fn common(&self) -> Result<Common, Refusal> {
        let app = match (self.value(&flags::APP), self.own("app")) {
            (Some(flag), Some(word)) if flag != word => {
                let text = format!("-a {flag} and app={word} name different apps; give one of them");
                return Err(Refusal::usage(text));
            }
            (flag, word) => flag.or(word),
        };
        let format = self.value(&flags::OUTPUT).map(|format| match format {
            "json" => Format::Json,
            _ => Format::Table,
        });
        Ok(Common {
            app: app.map(|name| AppName::parse(name).map_err(|e| Refusal::usage(e.to_string()))).transpose()?,
            format,
            wait: self.has(&flags::WAIT),
            dry_run: self.has(&flags::DRY_RUN),
            force: self.has(&flags::FORCE),
        })
    }

    /// The process that `name=` names.
    pub fn process(&self) -> Result<Option<ProcessName>, Refusal> {
        let parse = |name| ProcessName::parse(name).map_err(|e| Refusal::usage(e.to_string()));
        self.own("name").map(parse).transpose()
    }

    /// An image reference under a key.
    pub fn image(&self, key: &str) -> Result<Option<ImageRef>, Refusal> {
        let parse = |name| ImageRef::parse(name).map_err(|e| Refusal::usage(e.to_string()));
        self.own(key).map(parse).transpose()
    }

    /// The keys of a process as the server will read them, so that a wrong line fails before anything is sent.
    pub fn patch(&self) -> Result<ProcessPatch, Refusal> {
        let create = matches!(self.row.keys, Keys::OnCreate | Keys::OnTask);
        ProcessPatch::parse(&self.keys, create)
    }

    /// A whole number under a key.
    pub fn number(&self, key: &str, legal: std::ops::RangeInclusive<u32>) -> Result<Option<u32>, Refusal> {
        let Some(text) = self.own(key) else { return Ok(None) };
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|n| digits && legal.contains(n));
        let wrong = || {
            let (start, end) = (legal.start(), legal.end());
            Refusal::usage(format!("{key}={text} is not legal; give a whole number from {start} to {end}"))
        };
        number.ok_or_else(wrong).map(Some)
    }

    fn take_flag(&mut self, typed: &TypedFlag) -> Result<(), Refusal> {
        let spelled = &typed.spelled;
        let Some(flag) = self.row.all_flags().find(|flag| spells(flag, spelled)) else {
            return Err(unknown_flag(spelled, Some(self.row)));
        };
        if let Some(earlier) = self.flags.insert(flag.long, typed.value.clone())
            && earlier != typed.value
        {
            let (one, other) = (earlier.unwrap_or_default(), typed.value.clone().unwrap_or_default());
            let text = format!("--{} is given twice with different values, {one} and {other}; give one", flag.long);
            return Err(Refusal::usage(text));
        }
        Ok(())
    }

    fn take_word(&mut self, word: &str) -> Result<(), Refusal> {
        if let Some((key, value)) = word.split_once('=')
            && !self.row.words.iter().any(|word| word.form == Form::Rest)
            && !self.is_text(word, key)
        {
            return self.take_pair(key, value);
        }
        let free = |own: &BTreeMap<&'static str, String>, spec: &Word| match spec.form {
            Form::Keyed | Form::Each => false,
            Form::Bare | Form::Text => !own.contains_key(spec.key),
            Form::Rest => true,
        };
        match self.row.words.iter().find(|spec| free(&self.own, spec)) {
            Some(spec) if spec.form == Form::Rest => {
                self.rest.push(word.to_owned());
                Ok(())
            }
            // The same name in both forms is said twice, not wrong.
            None if self.row.words.iter().any(|spec| spec.form == Form::Bare && self.own(spec.key) == Some(word)) => {
                Ok(())
            }
            Some(spec) => self.put_own(spec, spec.key, word),
            None => Err(self.unexpected(word)),
        }
    }

    /// Whether a word with an `=` in it is meant as text, as `'FOO=1 env'` is and a mistyped key is not.
    fn is_text(&self, word: &str, key: &str) -> bool {
        let takes_text = self.row.words.iter().any(|word| word.form == Form::Text);
        let known = self.row.all_words().any(|word| word.key == key || word.synonyms.contains(&key));
        let like_a_key = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        takes_text && !known && (!like_a_key || word.contains(char::is_whitespace))
    }

    fn take_pair(&mut self, key: &str, value: &str) -> Result<(), Refusal> {
        let spelled = |word: &&Word| word.form != Form::Rest && (word.key == key || word.synonyms.contains(&key));
        if let Some(word) = self.row.all_words().find(spelled) {
            return self.put_own(word, key, value);
        }
        let known = |info: &&tapit_model::KeyInfo| info.name == key || info.synonyms.contains(&key);
        // Keys that are legal elsewhere go on to the model's parser, which says where.
        let known = tapit_model::PROCESS_KEYS.iter().find(known).filter(|info| match self.row.keys {
            Keys::Nothing => false,
            Keys::OnCreate | Keys::OnSet => true,
            Keys::OnTask => info.on_task,
        });
        if known.is_none() {
            return Err(self.unknown_key(key));
        }
        match self.keys.insert(key.to_owned(), value.to_owned()) {
            Some(earlier) if earlier != value => Err(twice(key, &earlier, key, value)),
            Some(_) | None => Ok(()),
        }
    }

    fn put_own(&mut self, word: &Word, spelled: &str, value: &str) -> Result<(), Refusal> {
        if word.form == Form::Each {
            self.each.push((word.key, value.to_owned()));
            return Ok(());
        }
        match self.own.insert(word.key, value.to_owned()) {
            Some(earlier) if earlier != value => Err(twice(word.key, &earlier, spelled, value)),
            Some(_) | None => Ok(()),
        }
    }

    fn unknown_key(&self, key: &str) -> Refusal {
        let title = self.row.title();
        let names = self.row.key_names();
        if names.is_empty() {
            return Refusal::usage(format!("{title} takes no key {key:?}, and no other"));
        }
        let synonyms = self.row.keys.infos().flat_map(|info| info.synonyms.iter().copied());
        let own = self.row.all_words().flat_map(|word| word.synonyms.iter().copied());
        let guess = nearest(key, names.iter().copied().chain(synonyms).chain(own));
        let guess = guess.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
        Refusal::usage(format!("{title} knows no key {key:?}; {guess}legal keys are {}", names.join(", ")))
    }

    fn unexpected(&self, word: &str) -> Refusal {
        let title = self.row.title();
        let names = self.row.key_names();
        if names.is_empty() {
            return Refusal::usage(format!("unexpected word {word:?}; {title} takes no words"));
        }
        if let Some(text) = self.row.words.iter().find(|word| word.form == Form::Text) {
            let text =
                format!("unexpected word {word:?}; the {} is one word, so quote it: {title} {}", text.key, text.shown);
            return Refusal::usage(text);
        }
        let hint = if names.contains(&word) { format!("write {word}=VALUE; ") } else { String::new() };
        let text =
            format!("unexpected word {word:?}; {hint}words are key=value, and the keys are {}", names.join(", "));
        Refusal::usage(text)
    }
}

fn twice(one: &str, earlier: &str, other: &str, value: &str) -> Refusal {
    Refusal::usage(format!(
        "{one}={earlier} and {other}={value} are the same key with different values; give one of them"
    ))
}

/// Advice for a flag that the command does not take.
pub fn unknown_flag(spelled: &str, row: Option<&'static Row>) -> Refusal {
    let legal: Vec<&'static Flag> = match row {
        Some(row) => row.all_flags().collect(),
        None => flags::EVERYWHERE.to_vec(),
    };
    let spellings: Vec<String> = legal.iter().map(|flag| format!("--{}", flag.long)).collect();
    let guess = nearest(spelled, spellings.iter().map(String::as_str));
    let guess = guess.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
    let title = row.map_or_else(|| "tapit".to_owned(), Row::title);
    let list: Vec<String> = legal.iter().map(|flag| flag.shown()).collect();
    Refusal::usage(format!("{title} knows no flag {spelled}; {guess}its flags are {}", list.join("; ")))
}
