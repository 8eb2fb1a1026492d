//! The text format of Prometheus, version 0.0.4.

use super::Measurements;
use super::families::FAMILIES;

/// All metrics. A family without a sample is there with its help alone, so that a query for it is no typing error.
pub fn exposition(measurements: &Measurements) -> String {
    let mut text = String::new();
    for family in FAMILIES {
        let (name, kind) = (family.name, family.kind.as_str());
        text += &format!("# HELP {name} {}\n# TYPE {name} {kind}\n", escape_help(family.help));
        for sample in (family.samples)(measurements) {
            text += name;
            let pairs = family.labels.iter().zip(&sample.labels);
            let labels: Vec<String> = pairs.map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
            if !labels.is_empty() {
                text.push('{');
                text += &labels.join(",");
                text.push('}');
            }
            text += &format!(" {}\n", sample.value);
        }
    }
    text
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn escape_help(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n")
}
