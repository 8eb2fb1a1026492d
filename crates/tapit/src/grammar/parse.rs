//! Arguments in, invocation out.

use tapit_model::Refusal;

use super::lex::lex;
use super::typed::{Typed, unknown_flag};
use super::{flags, help, resolve};
use crate::invocation::{Action, Common, Invocation};

/// Parses a command line, without the program's own name. Every value that can be judged without a server is judged
/// here; the error says what is wrong and what is legal.
pub fn parse(argv: &[String]) -> Result<Invocation, Refusal> {
    // What a completion script hands over is an unfinished line: it is not to be read as flags.
    if let Some(("__complete", unfinished)) = argv.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        let (current, words) = unfinished.split_last().map_or((String::new(), [].as_slice()), |(c, w)| (c.clone(), w));
        return Ok(plain(Action::Complete { words: words.to_vec(), current }));
    }
    let lexed = lex(argv)?;
    if lexed.has(&flags::HELP) {
        let named: Vec<String> = lexed.words.iter().take(2).filter(|word| !word.contains('=')).cloned().collect();
        return Ok(plain(Action::Help(help::Topic::around(&named)?)));
    }
    if lexed.has(&flags::VERSION) {
        return Ok(plain(Action::Version));
    }
    let resolved = resolve::resolve(&lexed.words);
    if let Some(unknown) = &lexed.unknown {
        return Err(unknown_flag(unknown, resolved.ok().map(|(row, _)| row)));
    }
    let (row, named) = resolved?;
    let meaning = || {
        let typed = Typed::new(row, &lexed.words[named..], &lexed.flags)?;
        let mut common = typed.common()?;
        let action = (row.mean)(&typed)?;
        if row.is_about(super::APP.one) {
            common.app = super::app::target(common.app, typed.own("name"))?;
        }
        Ok(Invocation { common, action })
    };
    meaning().map_err(|refusal: Refusal| {
        Refusal::new(refusal.code, format!("{}\nsee `tapit help {}`", refusal.message, row.title()))
    })
}

fn plain(action: Action) -> Invocation {
    Invocation { common: Common::default(), action }
}
