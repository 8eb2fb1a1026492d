//! What a request holds, parsed: names from the path, flags from the query, words from the body. What cannot be parsed
//! is refused with a `Refusal`, never with a text of the framework.

use std::fmt;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use tapit_model::{AppName, ImageKey, ImageRef, ProcessName, Refusal, TaskId, Words};

use super::errors::{ApiError, DESCRIPTION};

/// The most that a body of words may hold.
pub(super) const BODY_LIMIT: usize = 1024 * 1024;
/// How long a body of words may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The app named in the path.
pub(super) struct InApp(pub(super) AppName);

impl<S: Send + Sync> FromRequestParts<S> for InApp {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(app): Path<String> = path(parts, state).await?;
        Ok(Self(app_name(&app)?))
    }
}

/// The process named in the path, and its app.
pub(super) struct InProcess(pub(super) AppName, pub(super) ProcessName);

impl<S: Send + Sync> FromRequestParts<S> for InProcess {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path((app, process)): Path<(String, String)> = path(parts, state).await?;
        Ok(Self(app_name(&app)?, process_name(&process)?))
    }
}

/// The task named in the path, and its app.
pub(super) struct InTask(pub(super) AppName, pub(super) TaskId);

impl<S: Send + Sync> FromRequestParts<S> for InTask {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path((app, task)): Path<(String, String)> = path(parts, state).await?;
        let wrong = || ApiError::usage(format!("{task:?} is not the number of a task; list them with list tasks"));
        Ok(Self(app_name(&app)?, TaskId::parse(&task).ok_or_else(wrong)?))
    }
}

async fn path<S: Send + Sync, T: DeserializeOwned + Send>(parts: &mut Parts, state: &S) -> Result<Path<T>, ApiError> {
    Path::from_request_parts(parts, state)
        .await
        .map_err(|rejection| ApiError::usage(format!("{}; {DESCRIPTION}", rejection.body_text())))
}

pub(super) fn app_name(text: &str) -> Result<AppName, ApiError> {
    AppName::parse(text).map_err(|error| ApiError::usage(error.to_string()))
}

pub(super) fn process_name(text: &str) -> Result<ProcessName, ApiError> {
    ProcessName::parse(text).map_err(|error| ApiError::usage(error.to_string()))
}

pub(super) fn image_ref(text: &str) -> Result<ImageRef, ApiError> {
    ImageRef::parse(text).map_err(|error| ApiError::usage(error.to_string()))
}

pub(super) fn image_key(text: &str) -> Result<ImageKey, ApiError> {
    ImageKey::parse(text).map_err(|error| ApiError::usage(error.to_string()))
}

/// The parameters after the `?`.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(asked) = Query::from_request_parts(parts, state)
            .await
            .map_err(|rejection| ApiError::usage(format!("{}; {DESCRIPTION}", rejection.body_text())))?;
        Ok(Self(asked))
    }
}

/// The parameters of a change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeQuery {
    /// Say what would be done, and change nothing.
    #[serde(default)]
    pub(super) dry_run: bool,
}

/// For calls without parameters: a mistyped one is refused, not ignored.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoQuery {}

/// The body of a change: an object of words, as the command line has them.
pub(super) struct WordsBody(pub(super) Words);

impl WordsBody {
    /// Takes a word out that is not a key of the noun, such as its name.
    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    /// Takes a word out that must be there.
    pub(super) fn require(&mut self, key: &str) -> Result<String, ApiError> {
        self.take(key).ok_or_else(|| ApiError::usage(format!("the key {key:?} is missing from the body")))
    }
}

impl<S: Send + Sync> FromRequest<S> for WordsBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let content_type = request.headers().get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or("unreadable"));
        if let Some(content_type) = content_type
            && !content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
        {
            return Err(ApiError::usage(format!(
                "the body is {content_type:?}; send a JSON object, with Content-Type: application/json"
            )));
        }
        parse_words(&read_bounded(request.into_body()).await?).map(Self)
    }
}

async fn read_bounded(body: Body) -> Result<bytes::Bytes, ApiError> {
    match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_LIMIT)).await {
        Err(_) => Err(ApiError::body_stalled()),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let source = std::error::Error::source(&error);
            if source.is_some_and(|source| source.is::<http_body_util::LengthLimitError>()) {
                Err(ApiError::too_large("1 MiB"))
            } else {
                Err(ApiError::usage("the body broke off; send it again"))
            }
        }
    }
}

fn parse_words(bytes: &[u8]) -> Result<Words, ApiError> {
    serde_json::from_slice::<StrictWords>(bytes).map(|words| words.0).map_err(|error| {
        Refusal::usage(format!("the body is not an object of words such as {{\"memory\": \"0.5\"}}: {error}")).into()
    })
}

/// Words out of JSON. A key given twice is refused: which one was meant, nobody knows, and parsers differ.
#[derive(Debug)]
struct StrictWords(Words);

impl<'de> Deserialize<'de> for StrictWords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = StrictWords;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings, numbers and booleans")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StrictWords, A::Error> {
                let mut words = Words::new();
                while let Some((key, Word(value))) = map.next_entry::<String, Word>()? {
                    if words.contains_key(&key) {
                        return Err(serde::de::Error::custom(format!("the key {key:?} is given twice")));
                    }
                    words.insert(key, value);
                }
                Ok(StrictWords(words))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// One value as the command line would write it.
struct Word(String);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = Word;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string, a number or a boolean (an empty string goes back to the default)")
            }

            fn visit_str<E>(self, text: &str) -> Result<Word, E> {
                Ok(Word(text.to_owned()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Word, E> {
                Ok(Word(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Word, E> {
                Ok(Word(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Word, E> {
                Ok(Word(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Word, E> {
                Ok(Word(value.to_string()))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<(String, String)>, ApiError> {
        parse_words(text.as_bytes()).map(|words| words.into_iter().collect())
    }

    #[test]
    fn values_become_the_words_of_the_command_line() {
        let words = words(r#"{"memory": 0.5, "demand_count": 3, "disabled": false, "spot": "+1", "port": -1}"#);
        let expected =
            [("demand_count", "3"), ("disabled", "false"), ("memory", "0.5"), ("port", "-1"), ("spot", "+1")];
        let expected: Vec<_> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(words.unwrap(), expected);
    }

    #[test]
    fn what_is_not_an_object_of_words_is_refused() {
        for bad in [
            "",
            "[]",
            "3",
            "null",
            "{",
            r#"{"a": null}"#,
            r#"{"a": []}"#,
            r#"{"a": {"b": 1}}"#,
            r#"{"a": 1} x"#,
            r#"{"a": "1", "a": "1"}"#,
            r#"{"a": "1", "\u0061": "2"}"#,
            "{\"a\": \"\u{1}\"}",
        ] {
            assert!(words(bad).is_err(), "{bad}");
        }
    }
}
