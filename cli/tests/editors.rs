//! The colours of editors: rules that are valid, and that tell names by their form.

use std::fs;
use std::path::{Path, PathBuf};

use cnn_dsl::layer;
use fancy_regex::Regex;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../editors/vscode")
}

fn json(path: &str) -> Value {
    let text = fs::read_to_string(folder().join(path)).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Everything in a JSON text that is called `key`.
fn all<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                if name == key {
                    found.push(value);
                }
                all(value, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| all(item, key, found)),
        _ => {}
    }
}

fn regexes(grammar: &Value) -> Vec<(&str, Regex)> {
    let mut rules = Vec::new();
    for key in ["match", "begin", "end"] {
        all(grammar, key, &mut rules);
    }
    let rules = rules.into_iter().map(|rule| rule.as_str().unwrap());
    rules.map(|rule| (rule, Regex::new(rule).unwrap())).collect()
}

#[test]
fn the_extension_is_whole() {
    let manifest = json("package.json");
    let mut paths = Vec::new();
    for key in ["path", "configuration"] {
        all(&manifest, key, &mut paths);
    }
    assert_eq!(paths.len(), 3);
    for path in paths {
        assert!(json(path.as_str().unwrap()).is_object());
    }
    for grammar in manifest["contributes"]["grammars"].as_array().unwrap() {
        let file = json(grammar["path"].as_str().unwrap());
        assert_eq!(file["scopeName"], grammar["scopeName"]);
    }
}

#[test]
fn every_rule_is_a_regex_and_every_include_is_there() {
    let grammar = json("syntaxes/cnn.tmLanguage.json");
    assert!(regexes(&grammar).len() > 20);
    let mut includes = Vec::new();
    all(&grammar, "include", &mut includes);
    for include in includes {
        let name = include.as_str().unwrap().strip_prefix('#').unwrap();
        assert!(grammar["repository"][name].is_object(), "{name}");
    }
}

/// A new kind of layer needs no new rule.
#[test]
fn layers_are_told_by_their_form() {
    let grammar = json("syntaxes/cnn.tmLanguage.json");
    let rule = Regex::new(grammar["repository"]["layers"]["match"].as_str().unwrap()).unwrap();
    let whole =
        |name: &str| rule.find(name).unwrap().is_some_and(|found| found.range() == (0..name.len()));
    let names = layer::ALL
        .iter()
        .flat_map(|layer| [layer.signature.name].into_iter().chain(layer.aliases.iter().copied()));
    let mut count = 0;
    for name in names {
        assert!(whole(name), "{name}");
        for (other, _) in regexes(&grammar) {
            assert!(!other.contains(name), "`{other}` lists `{name}`");
        }
        count += 1;
    }
    assert!(count >= layer::ALL.len());
    for name in ["relu", "input", "_Conv", "3D"] {
        assert!(!whole(name), "{name}");
    }
}

/// The first rule that applies at each place gives a line its colours, as an editor does it.
#[test]
fn a_line_has_its_colours() {
    let grammar = json("syntaxes/cnn.tmLanguage.json");
    let repository = &grammar["repository"];
    let mut rules: Vec<(&Value, Regex)> = Vec::new();
    for include in repository["everything"]["patterns"].as_array().unwrap() {
        let rule = &repository[&include["include"].as_str().unwrap()[1..]];
        let list = rule["patterns"].as_array().filter(|_| rule.get("begin").is_none());
        let list: Vec<&Value> = list.map_or_else(|| vec![rule], |list| list.iter().collect());
        for rule in list {
            let pattern = rule.get("match").or(rule.get("begin")).unwrap().as_str().unwrap();
            rules.push((rule, Regex::new(pattern).unwrap()));
        }
    }
    let line = "stem: Conv2D(N, 1e-3, padding = same, use_bias = true)(input); // 3";
    let mut scopes = Vec::new();
    let mut at = 0;
    while at < line.len() {
        let next = rules
            .iter()
            .enumerate()
            .filter_map(|(order, (rule, regex))| {
                let captures = regex.captures_from_pos(line, at).unwrap()?;
                Some((captures.get(0)?.start(), order, *rule, captures))
            })
            .min_by_key(|(start, order, ..)| (*start, *order));
        let Some((_, _, rule, captures)) = next else { break };
        match rule["captures"].as_object() {
            Some(parts) => scopes.extend(parts.iter().map(|(index, part)| {
                let text = captures.get(index.parse().unwrap()).unwrap().as_str();
                (text, part["name"].as_str().unwrap())
            })),
            None => {
                scopes.push((captures.get(0).unwrap().as_str(), rule["name"].as_str().unwrap()));
            }
        }
        at = captures.get(0).unwrap().end();
    }
    scopes.retain(|(_, scope)| !scope.starts_with("punctuation"));
    insta::assert_debug_snapshot!(scopes);
}
