//! What a registry wants to see before it answers: the `WWW-Authenticate` header. Pure.

/// How to log in. A registry may offer both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    Basic,
    /// A token of the service at `realm`.
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

/// The challenge to answer, of all that a header holds: tokens before passwords, because a token is good for one
/// repository and a short while.
pub fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut found = None;
    for header in headers {
        for (scheme, pairs) in split(header) {
            let value =
                |name: &str| pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
            match scheme.to_ascii_lowercase().as_str() {
                "bearer" => match value("realm") {
                    Some(realm) => return Some(Challenge::Bearer { realm, service: value("service") }),
                    None => continue,
                },
                "basic" => found = Some(Challenge::Basic),
                _ => {}
            }
        }
    }
    found
}

type Pairs = Vec<(String, String)>;

/// Splits a header into its challenges. Commas stand between challenges and between the pairs of one.
fn split(header: &str) -> Vec<(String, Pairs)> {
    let mut challenges: Vec<(String, Pairs)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        let (word, after) = token(rest);
        if word.is_empty() {
            return challenges;
        }
        let Some(value) = after.trim_start().strip_prefix('=') else {
            challenges.push((word.to_owned(), Vec::new()));
            rest = after;
            continue;
        };
        let (value, after) = quoted_or_token(value.trim_start());
        if let Some((_, pairs)) = challenges.last_mut() {
            pairs.push((word.to_owned(), value));
        }
        rest = after;
    }
}

fn token(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c == '=' || c == ',' || c == '"' || c.is_whitespace()).unwrap_or(text.len());
    text.split_at(end)
}

fn quoted_or_token(text: &str) -> (String, &str) {
    let Some(inner) = text.strip_prefix('"') else {
        let (word, after) = token(text);
        return (word.to_owned(), after);
    };
    let mut value = String::new();
    let mut characters = inner.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &inner[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(header: &str) -> Option<Challenge> {
        choose([header].into_iter())
    }

    fn bearer(realm: &str, service: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        assert_eq!(one(hub), bearer("https://auth.docker.io/token", Some("registry.docker.io")));
        assert_eq!(one(r#"bearer  Realm = "https://a" , error="invalid_token""#), bearer("https://a", None));
        assert_eq!(one("Bearer realm=https://a"), bearer("https://a", None));
        assert_eq!(one(r#"Basic realm="a \"quoted\" realm, with a comma""#), Some(Challenge::Basic));
        assert_eq!(one("Basic"), Some(Challenge::Basic));
        assert_eq!(one(r#"Basic realm="x", Bearer realm="https://t""#), bearer("https://t", None));
        assert_eq!(choose(["Basic realm=x", r#"Bearer realm="https://t""#].into_iter()), bearer("https://t", None));
    }

    #[test]
    fn what_cannot_be_answered_is_no_challenge() {
        for header in ["", ",,,", "Negotiate", "Bearer", r#"Bearer service="x""#, "=", "\"", "Digest realm=\"x"] {
            assert_eq!(one(header), None, "{header}");
        }
    }
}
