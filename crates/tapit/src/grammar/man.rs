//! The manual page, in roff, made from the table.

use tapit_model::Code;

use super::{flags, help, table};

/// `tapit(1)`.
pub fn page() -> String {
    let mut page = String::from(".TH TAPIT 1 \"\" \"tapit\" \"User Commands\"\n.SH NAME\n");
    page += &format!("tapit \\- {}\n", escape("run the processes of an app as containers"));
    page += ".SH SYNOPSIS\n.B tapit\n";
    page += &format!("{}\n", escape("[-a APP] [-o table|json] VERB [NOUN] [key=value ...] [flags]"));
    page += &format!(".SH DESCRIPTION\n{}\n", escape(help::TAGLINE));
    page += &format!(
        "{}\n",
        escape(
            "The verb comes first, then the noun; flags may stand anywhere. Data goes to the standard output, as a table on a terminal and as JSON otherwise; talk goes to the standard error."
        )
    );
    page += ".SH OPTIONS\n";
    page += &items(&flags::EVERYWHERE.iter().map(|flag| help::flag_pair(flag)).collect::<Vec<_>>());
    page += ".SH COMMANDS\n";
    for row in table() {
        page +=
            &format!(".SS {}\n{}.\n.PP\n.B {}\n", quote(&row.title()), escape(row.summary), quote(&help::usage(row)));
        if !row.about.is_empty() {
            page += &format!(".PP\n{}\n", escape(row.about));
        }
        page += &items(&help::word_pairs(row));
        page += &items(&row.keys.infos().map(help::key_pair).collect::<Vec<_>>());
        page += &items(&row.flags.iter().map(|flag| help::flag_pair(flag)).collect::<Vec<_>>());
        for example in row.examples {
            page += &format!(".PP\n{}:\n.PP\n.nf\n    {}\n.fi\n", escape(example.what), escape(example.line));
        }
    }
    page += ".SH EXIT STATUS\n";
    let mut statuses = vec![("0".to_owned(), "done".to_owned())];
    statuses.extend(Code::ALL.map(|code| (code.exit_status().to_string(), code.describe().to_owned())));
    page += &items(&statuses);
    page += &format!(".SH ENVIRONMENT\n{}", items(&help::variables()));
    page += ".SH FILES\n";
    page += &items(&[(
        ".tapit.toml".to_owned(),
        "in the working directory or a parent: names the app, as app = \"shop\"".to_owned(),
    )]);
    page
}

fn items(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(name, text)| format!(".TP\n.B {}\n{}\n", quote(name), escape(text))).collect()
}

/// One argument of a request, blanks included.
fn quote(text: &str) -> String {
    format!("\"{}\"", escape(text).replace('"', "\\(dq"))
}

/// Text that roff prints as it is: hyphens that can be copied, no requests, no escapes.
fn escape(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}
