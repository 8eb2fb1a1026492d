//! The document describes what is answered: all of it, and nothing else.

use std::collections::BTreeSet;

use serde_json::Value;
use tapit_model::PROCESS_KEYS;

use super::Server;
use super::client::Ask;
use crate::api::routes;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

async fn document(server: &Server) -> Value {
    let answer = server.ask(Ask::new("GET /v1/openapi.json")).await;
    assert_eq!(answer.status, 200);
    answer.json
}

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let operation = |path: &String, (method, operation)| (path.clone(), String::clone(method), operation);
    paths.iter().flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |o| operation(path, o))).collect()
}

#[tokio::test]
async fn every_route_that_is_answered_is_described_and_the_other_way_round() {
    let server = Server::start();
    let document = document(&server).await;
    let described: BTreeSet<(String, String)> =
        operations(&document).into_iter().map(|(path, method, _)| (path, method)).collect();
    let mut answered = BTreeSet::new();
    for (path, _) in routes() {
        for method in METHODS {
            let line = format!("{} {}", method.to_uppercase(), path.replace("{app}", "a").replace("{process}", "p"));
            if server.ask(Ask::new(&line)).await.status != 405 {
                answered.insert((path.to_owned(), method.to_owned()));
            }
        }
    }
    assert_eq!(described, answered);
    assert!(answered.len() > 20, "{answered:?}");
}

#[tokio::test]
async fn every_operation_describes_its_parameters_and_its_errors() {
    let server = Server::start();
    let document = document(&server).await;
    for (path, method, operation) in operations(&document) {
        let place = format!("{method} {path}");
        let parameters: BTreeSet<(&str, &str)> = operation["parameters"]
            .as_array()
            .map(|all| all.iter().map(|p| (p["in"].as_str().unwrap(), p["name"].as_str().unwrap())).collect())
            .unwrap_or_default();
        for name in ["app", "process"].into_iter().filter(|name| path.contains(&format!("{{{name}}}"))) {
            assert!(parameters.contains(&("path", name)), "{place} lacks {name}");
        }
        // Neither moving an image nor running a command can be tried without doing it.
        let moves = ["/v1/images", "/v1/images/pull", "/v1/images/push"].contains(&path.as_str());
        let dry = !moves && !path.ends_with("/exec");
        let changes = method != "get" && dry;
        assert_eq!(parameters.contains(&("query", "dry_run")), changes, "{place}");
        for status in ["400", "403", "404", "409", "500", "503"] {
            let schema = &operation["responses"][status]["content"]["application/json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Refusal", "{place} {status}");
        }
        if path.ends_with("/exec") {
            assert!(operation["responses"]["101"].is_object(), "{place}");
        } else {
            assert!(operation["responses"]["200"]["content"].is_object(), "{place}");
        }
        assert!(operation["summary"].is_string(), "{place}");
    }
}

#[tokio::test]
async fn every_key_of_a_process_is_described_and_every_reference_resolves() {
    let server = Server::start();
    let document = document(&server).await;
    let set = &document["paths"]["/v1/apps/{app}/processes/{process}"]["patch"];
    let keys = set["requestBody"]["content"]["application/json"]["schema"]["properties"].as_object().unwrap();
    for info in PROCESS_KEYS {
        for key in std::iter::once(&info.name).chain(info.synonyms) {
            assert!(keys.contains_key(*key), "{key}");
        }
    }
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document["components"]["schemas"][reference].is_object(), "{reference} is missing");
    }
}
