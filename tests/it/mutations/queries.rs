//! Mutated files of queries.

use std::path::Path;

use preftune::data::LeftOut;
use preftune::data::queries::parse_queries;

use super::bytes;
use super::documents::{self, Form, mutant};
use super::json::Json;
use super::trial::{Kind, outcome, run};

#[test]
fn damaged_queries_are_refused_or_read_to_the_letter() {
    test("mutations::queries::damaged_queries_are_refused_or_read_to_the_letter", 500);
}

#[test]
#[ignore = "takes up to a minute"]
fn all_damaged_queries_are_refused_or_read_to_the_letter() {
    test("mutations::queries::all_damaged_queries_are_refused_or_read_to_the_letter", 3000);
}

fn test(test: &'static str, mutants: u64) {
    let originals: Vec<Json> =
        [r#"{"query":" a\nb "}"#, r#"{"id":7,"query":"Der Käpt’n"}"#, r#"{"query":"c. [d]","more":[1]}"#]
            .map(|line| Json::read(line).unwrap())
            .into();
    let lines: Vec<u8> = include_bytes!("../../../datasets/openings.txt")[..600].to_vec();
    run(&Kind {
        test,
        mutants,
        codes: &[4],
        most_refused_only_here: 0.05,
        originals: &[documents::unchanged(&originals, &[Form::Lines, Form::Array]), vec![lines.clone()]].concat(),
        mutant: &|dice| {
            if dice.one_in(3) {
                let mut text = lines.clone();
                bytes::mutate(&mut text, std::slice::from_ref(&lines), dice);
                return text;
            }
            mutant(&originals, &[Form::Lines, Form::Array], dice)
        },
        read: &|bytes| outcome(ours(bytes), theirs(bytes)),
    });
}

fn ours(bytes: &[u8]) -> preftune::Result<Vec<String>> {
    let path = Path::new("queries.txt");
    let text = std::str::from_utf8(bytes).map_err(|error| preftune::Error::input(path, error.to_string(), ""))?;
    parse_queries(text, path, &mut LeftOut::default())
}

/// Reads queries as datasets/README.md describes: the first line that is not blank decides the format.
fn theirs(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = documents::text(bytes)?;
    let first = text.trim_start();
    let inside = first.strip_prefix('[').map(|inside| inside.split('\n').next().unwrap_or_default().trim());
    let is_array = inside.is_some_and(|inside| inside.is_empty() || inside.starts_with(['{', '[', '"', ']']));
    if !first.starts_with('{') && !is_array {
        let lines = text.split('\n').map(|line| line.trim().to_string());
        let queries: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
        return if queries.is_empty() { Err("no query".into()) } else { Ok(queries) };
    }
    let mut name: Option<&str> = None;
    let mut queries = Vec::new();
    for (line, entry) in documents::read(bytes)? {
        let query = match &entry {
            Json::Text(query) => query,
            entry => {
                entry.object()?;
                let others = ["prompt", "text", "input", "question", "instruction", "content"];
                let known = ["query"].into_iter().chain(others).filter(|name| entry.get(name).is_some());
                let known: Vec<&str> = known.collect();
                let name = match (name, &known[..]) {
                    (Some(name), _) => name,
                    (None, ["query", ..]) => *name.insert("query"),
                    (None, [only]) => *name.insert(only),
                    (None, _) => return Err(format!("line {line} has {known:?}")),
                };
                entry.get(name).ok_or(format!("line {line} has no {name}"))?.text()?
            }
        };
        if query.trim().is_empty() {
            return Err("a blank query".into());
        }
        queries.push(query.to_string());
    }
    if queries.is_empty() { Err("no query".into()) } else { Ok(queries) }
}
