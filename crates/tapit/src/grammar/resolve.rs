//! Which row the first words name, and good advice when they name none.

use tapit_model::{Refusal, nearest};

use super::{Row, build, table, verbs};

/// The row, and how many words named it.
pub fn resolve(words: &[String]) -> Result<(&'static Row, usize), Refusal> {
    let Some(verb) = words.first() else {
        let text = format!("a command is missing; the verbs are {}; see `tapit help`", verbs().join(", "));
        return Err(Refusal::usage(text));
    };
    if let Some(row) = words.get(1).and_then(|second| noun_first(verb, second)) {
        return Ok((row, 2));
    }
    let rows: Vec<&'static Row> = table().filter(|row| row.verb == verb).collect();
    if rows.is_empty() {
        return Err(unknown_verb(verb, words.get(1).map(String::as_str)));
    }
    if let Some(row) = rows.iter().find(|row| row.noun().is_none()) {
        return Ok((row, 1));
    }
    let nouns: Vec<&str> = rows.iter().filter_map(|row| row.noun()).collect();
    let legal = if nouns.len() == 1 {
        format!("write `tapit {verb} {}`", nouns[0])
    } else {
        format!("{verb} takes one of {}", nouns.join(", "))
    };
    let Some(noun) = words.get(1).filter(|word| !word.contains('=')) else {
        return Err(Refusal::usage(format!("{verb} what? {legal}")));
    };
    if let Some(row) = rows.iter().find(|row| row.noun() == Some(noun)) {
        return Ok((row, 2));
    }
    let guess = match rows.iter().find(|row| row.is_about(noun)) {
        Some(row) => row.noun(),
        None => nearest(noun, nouns.iter().copied()),
    };
    let guess = guess.map(|near| format!("did you mean `tapit {verb} {near}`? ")).unwrap_or_default();
    Err(Refusal::usage(format!("{verb} knows no noun {noun:?}; {guess}{legal}")))
}

/// The row that is known by its noun first as well: `image build`.
pub fn noun_first(noun: &str, verb: &str) -> Option<&'static Row> {
    build::ROWS.iter().find(|row| row.verb == verb && row.noun() == Some(noun))
}

fn unknown_verb(word: &str, second: Option<&str>) -> Refusal {
    let verbs = verbs();
    let swapped = second.and_then(|verb| table().find(|row| row.verb == verb && row.is_about(word)));
    let about = table().find(|row| row.is_about(word));
    let guess = match (swapped, about, nearest(word, verbs.iter().copied())) {
        (Some(row), _, _) => format!("the verb comes first: `tapit {}`; ", row.title()),
        (None, Some(row), _) => {
            format!("{word} is a noun and the verb comes first, for example `tapit {}`; ", row.title())
        }
        (None, None, Some(near)) => format!("did you mean {near}? "),
        (None, None, None) => String::new(),
    };
    Refusal::usage(format!("unknown verb {word:?}; {guess}the verbs are {}", verbs.join(", ")))
}
