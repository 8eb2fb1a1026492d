//! How far a reader has come in each instance's log, and the one word that it keeps of that.

use std::collections::BTreeMap;

use tapit_engine::LogPosition;
use tapit_model::InstanceId;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<InstanceId, LogPosition>);

impl Places {
    pub fn get(&self, id: &InstanceId) -> Option<&LogPosition> {
        self.0.get(id)
    }

    pub fn set(&mut self, id: InstanceId, position: LogPosition) {
        self.0.insert(id, position);
    }

    /// Forgets those that are not listed any more, so that a reader who follows for months does not collect them.
    pub fn keep(&mut self, listed: impl Fn(&InstanceId) -> bool) {
        self.0.retain(|id, _| listed(id));
    }

    pub fn encode(&self) -> String {
        let pairs: serde_json::Map<_, _> =
            self.0.iter().map(|(id, place)| (id.to_string(), place.0.clone().into())).collect();
        serde_json::Value::Object(pairs).to_string()
    }

    /// `None` where it is not one of ours.
    pub fn decode(text: &str) -> Option<Self> {
        let pairs: BTreeMap<String, String> = serde_json::from_str(text).ok()?;
        Some(Self(pairs.into_iter().map(|(id, place)| (InstanceId::opaque(&id), LogPosition(place))).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_being_written_down() {
        let mut places = Places::default();
        assert_eq!(Places::decode(&places.encode()), Some(places.clone()));
        places.set(InstanceId::opaque("web.1"), LogPosition("12".to_owned()));
        places.set(InstanceId::opaque("api.7"), LogPosition("{\"x\": \",=\"}".to_owned()));
        assert_eq!(Places::decode(&places.encode()), Some(places.clone()));
        places.keep(|id| id.as_str() == "web.1");
        assert_eq!(places.encode(), r#"{"web.1":"12"}"#);
        for text in ["", "x", "[]", "{\"a\": 1}"] {
            assert_eq!(Places::decode(text), None, "{text}");
        }
    }
}
