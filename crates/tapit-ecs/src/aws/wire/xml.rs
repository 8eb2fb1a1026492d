//! As much of an answer in XML as is wanted: the fields of the elements at a path.

use std::collections::BTreeMap;

use aws_smithy_xml::decode::{Document, ScopedDecoder, XmlDecodeError, try_data};

/// The fields that one element has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record(BTreeMap<&'static str, String>);

impl Record {
    pub fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }
}

/// Of each element at the path below the root, in the order of the document.
pub fn records(xml: &str, path: &[&str], fields: &[&'static str]) -> Result<Vec<Record>, XmlDecodeError> {
    let mut document = Document::new(xml);
    let mut found = Vec::new();
    walk(document.root_element()?, &Sought { path, fields }, &mut found)?;
    Ok(found)
}

struct Sought<'a> {
    path: &'a [&'a str],
    fields: &'a [&'static str],
}

/// As deep as the path is long, whatever the document's depth.
fn walk(mut scope: ScopedDecoder<'_, '_>, sought: &Sought<'_>, found: &mut Vec<Record>) -> Result<(), XmlDecodeError> {
    let Some((first, rest)) = sought.path.split_first() else {
        found.push(record(scope, sought.fields)?);
        return Ok(());
    };
    while let Some(child) = scope.next_tag() {
        if child.start_el().matches(first) {
            walk(child, &Sought { path: rest, fields: sought.fields }, found)?;
        }
    }
    Ok(())
}

fn record(mut scope: ScopedDecoder<'_, '_>, fields: &[&'static str]) -> Result<Record, XmlDecodeError> {
    let mut record = Record::default();
    while let Some(mut child) = scope.next_tag() {
        if let Some(field) = fields.iter().find(|field| child.start_el().matches(field)) {
            let text = try_data(&mut child)?.into_owned();
            record.0.insert(field, text);
        }
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBNETS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
        <DescribeSubnetsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
          <requestId>1</requestId>
          <subnetSet>
            <item><subnetId>a</subnetId><vpcId>v&amp;1</vpcId><tagSet><item><key>vpcId</key></item></tagSet></item>
            <item><subnetId>b</subnetId><empty/></item>
          </subnetSet>
        </DescribeSubnetsResponse>"#;

    #[test]
    fn the_wanted_fields_are_read_and_nothing_below_them() {
        let found = records(SUBNETS, &["subnetSet", "item"], &["subnetId", "vpcId"]).expect("XML");
        let texts: Vec<_> = found.iter().map(|record| (record.text("subnetId"), record.text("vpcId"))).collect();
        assert_eq!(texts, [(Some("a"), Some("v&1")), (Some("b"), None)]);
    }

    #[test]
    fn a_path_that_is_not_there_has_no_records_and_no_document_is_an_error() {
        assert_eq!(records(SUBNETS, &["vpcSet", "item"], &["vpcId"]).expect("XML"), []);
        assert!(records("", &[], &[]).is_err());
    }
}
