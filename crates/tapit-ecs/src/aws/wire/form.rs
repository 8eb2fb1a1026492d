//! The body of a call to a service that wants a form.

use crate::api::Tags;

/// Names and values, in order.
#[derive(Debug, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    pub fn new(action: &str, version: &str) -> Self {
        Self::default().with("Action", action).with("Version", version)
    }

    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }

    /// `PREFIX.1`, `PREFIX.2` …
    pub fn list<V: Into<String>>(self, prefix: &str, values: impl IntoIterator<Item = V>) -> Self {
        let numbered = values.into_iter().zip(1..);
        numbered.fold(self, |form, (value, number)| form.with(format!("{prefix}.{number}"), value))
    }

    /// `PREFIX.1.Key`, `PREFIX.1.Value` …
    pub fn tags(self, prefix: &str, tags: &Tags) -> Self {
        tags.iter().zip(1..).fold(self, |form, ((key, value), number)| {
            form.with(format!("{prefix}.{number}.Key"), key).with(format!("{prefix}.{number}.Value"), value)
        })
    }

    pub fn encoded(self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_numbered_from_one_and_values_are_encoded() {
        let tags = Tags::from([("app".to_owned(), "a b&c".to_owned())]);
        let form = Form::new("Do", "1").list("Id", ["x", "y"]).tags("Tag", &tags);
        assert_eq!(form.encoded(), "Action=Do&Version=1&Id.1=x&Id.2=y&Tag.1.Key=app&Tag.1.Value=a+b%26c");
    }
}
