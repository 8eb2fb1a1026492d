//! What is said when a registry does not do what it should: one sentence, with what to do about it.

use std::time::Duration;

use reqwest::StatusCode;
use tapit_engine::ImageFault;

use super::super::credentials::Origin;
use super::super::error::Fault;
use super::host::Operation;
use super::pace::TooSlow;
use super::wire::RedirectError;

/// Whether asking again at once may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The connection broke under way.
    Broken,
    /// There was none.
    Down,
    Never,
}

/// A fault, and what may help against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub fault: Fault,
    pub again: Again,
}

impl Trouble {
    pub fn broken(fault: Fault) -> Self {
        Self { fault, again: Again::Broken }
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self { fault, again: Again::Never }
    }
}

/// Most of what a registry says about a refusal.
const MAX_SAID: usize = 300;

pub fn unreachable(name: &str, why: &str) -> Fault {
    Fault::new(ImageFault::Unreachable, format!("the registry {name} cannot be reached: {why}"))
}

/// A request that got no answer, or an answer that broke off.
pub fn connection(name: &str, error: reqwest::Error) -> Trouble {
    // Addresses of blobs elsewhere hold signatures, which are nobody's to read.
    let error = error.without_url();
    let why = plain(&tapit_model::describe(&error)).to_owned();
    let never = |why: &str| Trouble::from(unreachable(name, why));
    if let Some(refused) = find::<RedirectError>(&error) {
        return never(&format!("{refused}; is it a registry?"));
    }
    // What answers in plain text, and what hangs up on a handshake.
    if why.contains("InvalidContentType") || why.contains("tls handshake eof") {
        return never(&format!(
            "it does not speak TLS; if its network can be trusted: tapit set registry {name} plain_http=true"
        ));
    }
    if why.contains("certificate") {
        return never(&format!(
            "{why}; add its authority to the certificates of this host, or install them if it \
             has none (apt-get install ca-certificates)"
        ));
    }
    let again = if error.is_connect() { Again::Down } else { Again::Broken };
    let hint = match again {
        Again::Down => "; check its name, and whether it runs",
        Again::Broken | Again::Never => "",
    };
    Trouble { fault: unreachable(name, &format!("{why}{hint}")), again }
}

/// Without what the HTTP client says about itself.
fn plain(mut text: &str) -> &str {
    const OWN: [&str; 3] = ["error sending request: ", "client error (Connect): ", "client error (SendRequest): "];
    while let Some(rest) = OWN.iter().find_map(|own| text.strip_prefix(own)) {
        text = rest;
    }
    text
}

fn find<T: std::error::Error + Copy + 'static>(error: &dyn std::error::Error) -> Option<T> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(*found);
        }
        next = error.source();
    }
    None
}

pub fn stalled(name: &str, silence: Duration) -> Fault {
    unreachable(name, &format!("it took nothing and said nothing for {} s", silence.as_secs_f32()))
}

pub fn slow(name: &str, slow: TooSlow) -> Fault {
    let (bytes, seconds) = (slow.bytes, slow.window.as_secs_f32());
    unreachable(name, &format!("it sent only {bytes} bytes in {seconds} s; try again later, or set a mirror for it"))
}

/// 429 and 5xx: the registry is there and cannot help now.
pub fn busy(name: &str, status: StatusCode, rest: Option<Duration>) -> Fault {
    let when = match rest {
        Some(rest) => format!("again in {} s, as it asks", rest.as_secs()),
        None => "again later".to_owned(),
    };
    let text = if status == StatusCode::TOO_MANY_REQUESTS {
        format!(
            "it takes no more requests at present (429 Too Many Requests); try {when}, or log in for a higher limit: \
             tapit set registry {name} username=USER password=-"
        )
    } else {
        format!("it answered {status}; try {when}")
    };
    unreachable(name, &text)
}

/// What a registry said, if it said anything.
fn aside(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(" ({said})") }
}

/// An answer that makes no sense for what was asked.
pub fn odd(name: &str, status: StatusCode, said: &str) -> Fault {
    let said = aside(said);
    unreachable(name, &format!("it answered {status}{said}; is it a registry?"))
}

pub fn web_page(name: &str) -> Fault {
    unreachable(name, "it answered with a web page; is it a registry, and does no proxy on the way ask for a login?")
}

/// Without a login, or with the one from `origin`.
pub fn denied(name: &str, operation: Operation, origin: Option<&Origin>, said: &str) -> Fault {
    let said = aside(said);
    let set = format!("tapit set registry {name} username=USER password=-");
    let text = match (operation, origin) {
        (Operation::Pull, Some(Origin::Given(origin))) => {
            format!("the registry {name} refuses the login {origin}{said}, or the image is not there for it")
        }
        (Operation::Push, Some(Origin::Given(origin))) => {
            format!("the registry {name} refuses the login {origin}{said}, or it may not push there")
        }
        (Operation::Pull, Some(Origin::Kept(origin))) => format!(
            "the registry {name} refuses the login {origin}{said}, or the image is not there for it; set another: {set}"
        ),
        (Operation::Pull, None) => {
            format!("the registry {name} has no such image, or wants a login{said}: {set}")
        }
        (Operation::Push, Some(Origin::Kept(origin))) => format!(
            "the registry {name} refuses the login {origin}{said}, or it may not push there; set another: {set}"
        ),
        (Operation::Push, None) => format!("the registry {name} wants a login to be pushed to{said}: {set}"),
    };
    Fault::new(ImageFault::Denied, text)
}

pub fn not_found(name: &str, asked: &str, repository: &str) -> Fault {
    let text = format!("the registry {name} has no {asked} of {repository}; check the name and the tag");
    Fault::new(ImageFault::NotFound, text)
}

/// What a registry says about a refusal, if it says it as registries do. Hostile, hence short and printable.
pub fn said(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Body {
        errors: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let first = serde_json::from_slice::<Body>(body).ok().and_then(|body| body.errors.into_iter().next());
    let text = first.map_or(String::new(), |e| if e.message.is_empty() { e.code } else { e.message });
    text.chars().filter(|c| !c.is_control()).take(MAX_SAID).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_http_client_is_not_heard_about() {
        let text = "error sending request: client error (Connect): dns error: no such host";
        assert_eq!(plain(text), "dns error: no such host");
        assert_eq!(plain("error decoding response body"), "error decoding response body");
    }

    #[test]
    fn what_a_registry_says_is_short_and_printable() {
        assert_eq!(said(br#"{"errors":[{"code":"DENIED","message":"no\u001b[31m way"}]}"#), "no[31m way");
        assert_eq!(said(br#"{"errors":[{"code":"DENIED"}]}"#), "DENIED");
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "x".repeat(9000));
        assert_eq!(said(long.as_bytes()).len(), MAX_SAID);
        for body in ["", "<html>", "{}", r#"{"errors":[]}"#, r#"{"errors":"x"}"#] {
            assert_eq!(said(body.as_bytes()), "", "{body}");
        }
    }
}
