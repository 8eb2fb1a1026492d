//! Arguments as flags and words. Which command they belong to is not known yet.

use tapit_model::Refusal;

use super::{Flag, flags, table};

/// A flag as typed (`-w`, `--wait`) and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedFlag {
    pub spelled: String,
    pub value: Option<String>,
}

/// The arguments, told apart.
#[derive(Debug, Default)]
pub struct Lexed {
    pub words: Vec<String>,
    pub flags: Vec<TypedFlag>,
    /// The first argument that looks like a flag and is none.
    pub unknown: Option<String>,
}

impl Lexed {
    pub fn has(&self, flag: &Flag) -> bool {
        self.flags.iter().any(|typed| spells(flag, &typed.spelled))
    }
}

pub fn spells(flag: &Flag, spelled: &str) -> bool {
    match spelled.strip_prefix("--") {
        Some(long) => flag.long == long,
        None => flag.short.is_some_and(|short| spelled.strip_prefix('-') == Some(short.encode_utf8(&mut [0; 4]))),
    }
}

/// Any flag of that spelling: all of them agree on whether it takes a value.
fn any_flag(spelled: &str) -> Option<&'static Flag> {
    let all = flags::EVERYWHERE.iter().chain(table().flat_map(|row| row.flags.iter()));
    all.copied().find(|flag| spells(flag, spelled))
}

pub fn lex(argv: &[String]) -> Result<Lexed, Refusal> {
    let mut lexed = Lexed::default();
    let mut rest = argv.iter();
    while let Some(argument) = rest.next() {
        if argument == "--" {
            lexed.words.extend(rest.by_ref().cloned());
        } else if argument.starts_with("--") {
            long(argument, &mut rest, &mut lexed)?;
        } else if argument.starts_with('-') && argument.len() > 1 {
            short(argument, &mut rest, &mut lexed)?;
        } else {
            lexed.words.push(argument.clone());
        }
    }
    Ok(lexed)
}

type Rest<'a> = std::slice::Iter<'a, String>;

fn long(argument: &str, rest: &mut Rest, lexed: &mut Lexed) -> Result<(), Refusal> {
    let (spelled, inline) = match argument.split_once('=') {
        Some((spelled, value)) => (spelled, Some(value.to_owned())),
        None => (argument, None),
    };
    let value = match any_flag(spelled) {
        None => {
            lexed.unknown.get_or_insert_with(|| spelled.to_owned());
            return Ok(());
        }
        Some(Flag { value: None, .. }) if inline.is_some() => {
            return Err(Refusal::usage(format!("{spelled} is a switch and takes no value; write {spelled} alone")));
        }
        Some(Flag { value: None, .. }) => None,
        Some(flag) => Some(value_of(flag, spelled, inline, rest)?),
    };
    lexed.flags.push(TypedFlag { spelled: spelled.to_owned(), value });
    Ok(())
}

/// `-w`, `-wn`, `-a shop`, `-ashop`, `-a=shop`.
fn short(argument: &str, rest: &mut Rest, lexed: &mut Lexed) -> Result<(), Refusal> {
    let mut letters = argument[1..].chars();
    while let Some(letter) = letters.next() {
        let spelled = format!("-{letter}");
        let value = match any_flag(&spelled) {
            None => {
                lexed.unknown.get_or_insert_with(|| argument.to_owned());
                return Ok(());
            }
            Some(Flag { value: None, .. }) => None,
            Some(flag) => {
                let inline = letters.as_str();
                letters = "".chars();
                let inline = (!inline.is_empty()).then(|| inline.strip_prefix('=').unwrap_or(inline).to_owned());
                Some(value_of(flag, &spelled, inline, rest)?)
            }
        };
        lexed.flags.push(TypedFlag { spelled, value });
    }
    Ok(())
}

fn value_of(flag: &Flag, spelled: &str, inline: Option<String>, rest: &mut Rest) -> Result<String, Refusal> {
    let value = inline.or_else(|| next_value(rest)).ok_or_else(|| {
        let form = flag.value.unwrap_or("VALUE");
        Refusal::usage(format!("{spelled} needs a value: {spelled} {form}"))
    })?;
    flag.check(spelled, &value)?;
    Ok(value)
}

/// The next argument, unless it is a flag itself: `-a -o json` is a forgotten name, not an app called `-o`.
fn next_value(rest: &mut Rest) -> Option<String> {
    let next = rest.as_slice().first()?;
    if next.starts_with('-') && next.len() > 1 {
        return None;
    }
    rest.next().cloned()
}
