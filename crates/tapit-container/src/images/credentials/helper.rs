//! Asks a credential helper of Docker for the login of a registry.
//!
//! A helper is a program `docker-credential-NAME` that the server's user has installed. It is run without a shell, with
//! a bounded time and a bounded answer, and what it fails with is told: a login that silently is none looks like a
//! registry that refuses.

use std::io::ErrorKind;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tapit_engine::ImageFault;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::{Docker, Secret, server_address};
use crate::images::error::Fault;

const TIME: Duration = Duration::from_secs(10);
const MAX_ANSWER: u64 = 64 << 10;
/// Of what it says about its failure.
const MAX_TOLD: usize = 300;
/// The user name that marks the secret as an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// `None`: the helper works and knows no login for this registry.
pub async fn get(name: &str, registry: &str, docker: &Docker) -> Result<Option<Secret>, Fault> {
    let failed = |what: String| {
        let text =
            format!("a login for {registry} is wanted, but the credential helper docker-credential-{name} {what}");
        Fault::new(ImageFault::Denied, text)
    };
    if !is_legal(name) {
        return Err(failed("has no legal name; mend Docker's config.json".to_owned()));
    }
    let mut child = start(name, docker).map_err(|error| match error.kind() {
        ErrorKind::NotFound => failed("is not installed, although Docker's config.json names it".to_owned()),
        _ => failed(format!("cannot be started: {error}")),
    })?;
    let answered = tokio::time::timeout(TIME, talk(&mut child, server_address(registry))).await;
    let (succeeded, answer, told) = match answered {
        Ok(Ok(answered)) => answered,
        Ok(Err(error)) => return Err(failed(format!("broke off: {error}"))),
        Err(_) => return Err(failed(format!("gave no answer within {} s", TIME.as_secs()))),
    };
    if !succeeded {
        // The words by which helpers say that they know of none.
        if answer.contains("credentials not found") {
            return Ok(None);
        }
        let said = [answer, told].into_iter().map(|text| shorten(&text)).find(|text| !text.is_empty());
        return Err(failed(format!("failed: {}", said.as_deref().unwrap_or("it does not say why"))));
    }
    let answer: Answer = serde_json::from_str(&answer).map_err(|_| failed("answered nonsense".to_owned()))?;
    if answer.secret.is_empty() {
        return Ok(None);
    }
    Ok(Some(match answer.username.as_str() {
        TOKEN_USER => Secret::IdentityToken(answer.secret),
        _ => Secret::Password { user: answer.username, password: answer.secret },
    }))
}

/// The name becomes part of a program's name: no path, no other program.
fn is_legal(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.len() <= 64 && name.bytes().all(legal)
}

fn start(name: &str, docker: &Docker) -> std::io::Result<Child> {
    let mut command = Command::new(format!("docker-credential-{name}"));
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    if let Some(path) = &docker.path {
        command.env("PATH", path);
    }
    command.spawn()
}

/// Whether it succeeded, and what it wrote on its output and its error output.
async fn talk(child: &mut Child, server: &str) -> std::io::Result<(bool, String, String)> {
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read its input may still answer.
        let _ = input.write_all(server.as_bytes()).await;
    }
    let (output, told) = (child.stdout.take(), child.stderr.take());
    let (output, told) = tokio::try_join!(read(output), read(told))?;
    let status = child.wait().await?;
    Ok((status.success(), output, told))
}

async fn read(from: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(MAX_ANSWER).read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn shorten(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(MAX_TOLD).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A directory with one helper in it, which ends with the test.
    struct Helper(tempfile::TempDir);

    impl Helper {
        fn new(name: &str, script: &str) -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join(format!("docker-credential-{name}"));
            // Written by another process: a file that this one has open for writing cannot be run, and another test
            // that forks just then would keep it open.
            let text = format!("#!/bin/sh\n{script}\n");
            let status = std::process::Command::new("sh")
                .args(["-c", "printf %s \"$1\" > \"$2\"", "sh", &text])
                .arg(&path)
                .status()
                .expect("sh");
            assert!(status.success());
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("mode");
            Self(directory)
        }

        fn docker(&self) -> Docker {
            let path = format!("{}:/usr/bin:/bin", self.0.path().display());
            Docker { file: None, path: Some(path.into()) }
        }
    }

    async fn ask(script: &str, registry: &str) -> Result<Option<Secret>, String> {
        let helper = Helper::new("x", script);
        get("x", registry, &helper.docker()).await.map_err(|fault| {
            assert_eq!(fault.fault, ImageFault::Denied);
            fault.text
        })
    }

    #[tokio::test]
    async fn a_helper_is_given_the_registry_and_answers_with_a_login() {
        let echo =
            r#"read -r host || :; [ "$1" = get ] && printf '{"ServerURL":"x","Username":"ann","Secret":"%s"}' "$host""#;
        for (registry, server) in [("r.example:5000", "r.example:5000"), ("docker.io", "https://index.docker.io/v1/")] {
            let expected = Secret::Password { user: "ann".to_owned(), password: server.to_owned() };
            assert!(ask(echo, registry).await.expect("answered") == Some(expected), "{registry}");
        }
        let token = r#"echo '{"Username":"<token>","Secret":"abc"}'"#;
        assert!(ask(token, "r").await.expect("answered") == Some(Secret::IdentityToken("abc".to_owned())));
    }

    #[tokio::test]
    async fn a_helper_without_a_login_is_no_failure_and_any_other_failure_is_told() {
        let none = "echo 'credentials not found in native keychain'; exit 1";
        assert!(ask(none, "r").await.expect("answered").is_none());
        for (script, part) in [
            ("echo 'the keyring is locked'; exit 1", "docker-credential-x failed: the keyring is locked"),
            ("echo 'no gpg' >&2; exit 2", "failed: no gpg"),
            ("exit 3", "it does not say why"),
            ("echo '<html>'", "answered nonsense"),
        ] {
            let text = ask(script, "r.example").await.err().expect(script);
            assert!(text.contains(part) && text.contains("r.example"), "{text}");
        }
    }

    #[tokio::test]
    async fn an_answer_without_end_is_cut_off() {
        let text = ask("exec yes", "r").await.err().expect("refused");
        assert!(text.contains("docker-credential-x"), "{text}");
    }

    #[tokio::test]
    async fn a_name_that_is_a_path_is_not_run() {
        let helper = Helper::new("x", "exit 0");
        for name in ["../x", "x/y", "", "X", "a b", "x;id"] {
            let text = get(name, "r", &helper.docker()).await.err().expect(name).text;
            assert!(text.contains("no legal name"), "{text}");
        }
        let text = get("missing", "r", &helper.docker()).await.err().expect("missing").text;
        assert!(text.contains("docker-credential-missing is not installed"), "{text}");
    }
}
