//! Queries: the texts that the policy continues.

use std::path::Path;

use serde_json::Value;

use super::entries::Entries;
use super::left_out::{LeftOut, Reason};
use super::text_lines::{begins_json, blank_lines, text_lines};
use super::without_byte_order_mark;
use crate::error::{Error, Result};

const HINT: &str =
    "queries are text, one per line, or JSONL {\"query\": \"…\"}, or a JSON array of texts or of such objects";

/// Names of the field of a query in the files of other programs.
const OTHER_NAMES: [&str; 6] = ["prompt", "text", "input", "question", "instruction", "content"];

/// Reads queries: text, one per line; JSONL `{"query": "…"}`; or one JSON array of texts or of such objects. The
/// field `query` may have one of the names that other programs use: `prompt`, `text`, `input`, `question`,
/// `instruction` or `content`. A file that begins as JSON is read as JSON or refused, and never read as text.
///
/// Blank lines are skipped, and counted where a line is a query. Text queries lose the spaces around them. JSON
/// queries are kept unchanged, so they may contain line breaks, and their entries may have other fields.
///
/// # Errors
/// [`Error::Input`] when there is no query at all, and with the line number for a line that is not such JSON,
/// whose query is blank, or whose query may be in several fields, and for text that is not in lines.
pub fn parse_queries(text: &str, path: &Path, left_out: &mut LeftOut) -> Result<Vec<String>> {
    let first = without_byte_order_mark(text).lines().map(str::trim).find(|line| !line.is_empty());
    let queries = match first {
        Some(first) if begins_json(first) => {
            // Blank lines in an array are only white space.
            left_out.count(Reason::BlankLines, if first.starts_with('[') { 0 } else { blank_lines(text) });
            json_queries(text, path)?
        }
        _ => text_lines(text, path, left_out)?.into_iter().map(|(_, line)| line.to_owned()).collect(),
    };
    match queries.is_empty() {
        true => Err(Error::input(path, "there are no queries in this file", HINT)),
        false => Ok(queries),
    }
}

fn json_queries(text: &str, path: &Path) -> Result<Vec<String>> {
    let mut name = None;
    let query = |entry: Result<(usize, Value)>| {
        let (line, entry) = entry?;
        let query = match entry {
            Value::String(query) => query,
            entry => field_of(&entry, &mut name).map_err(|what| Error::line(path, line, what, HINT))?,
        };
        match query.trim().is_empty() {
            true => Err(Error::line(path, line, "the query is blank", "delete this entry")),
            false => Ok(query),
        }
    };
    Entries::new(text.as_bytes(), path).with_hint(HINT).map(query).collect()
}

/// Returns the query of an entry, from the field in which the first entry has its query.
fn field_of(entry: &Value, name: &mut Option<&'static str>) -> std::result::Result<String, String> {
    let Some(fields) = entry.as_object() else { return Err("this entry is neither a text nor an object".into()) };
    let name = match *name {
        Some(name) => name,
        None => *name.insert(name_of(entry)?),
    };
    match fields.get(name) {
        Some(Value::String(query)) => Ok(query.clone()),
        Some(_) => Err(format!("the field {name:?} is no text")),
        None => Err(format!("there is no field {name:?}, in which the first entry has its query")),
    }
}

fn name_of(entry: &Value) -> std::result::Result<&'static str, String> {
    if entry.get("query").is_some() {
        return Ok("query");
    }
    let names: Vec<&str> = OTHER_NAMES.into_iter().filter(|&name| entry.get(name).is_some()).collect();
    match names.as_slice() {
        [name] => Ok(OTHER_NAMES.into_iter().find(|other| other == name).unwrap_or("query")),
        [] => {
            let found: Vec<&String> = entry.as_object().into_iter().flat_map(|fields| fields.keys()).collect();
            Err(format!("there is no field \"query\", only {found:?}"))
        }
        several => Err(format!("the query may be in any of {several:?}; name its field \"query\"")),
    }
}

/// Takes queries from a book by the rule of the original code (`lm_tasks.py`, start and end text `.`): of the
/// passage at each of `starts`, the tokens after its first `period`, at most `query_length`, up to the last
/// `period` among them.
///
/// `tokens` is the whole book; `starts` are indices into it. Passages without such tokens are skipped, so there
/// may be fewer queries than starts. Queries have 1 to `query_length` tokens and end with `period`.
pub fn queries_from_book(tokens: &[u32], period: u32, query_length: usize, starts: &[usize]) -> Vec<Vec<u32>> {
    starts.iter().filter_map(|&start| query_at(tokens.get(start..)?, period, query_length)).collect()
}

fn query_at(passage: &[u32], period: u32, query_length: usize) -> Option<Vec<u32>> {
    let first = passage.iter().position(|&token| token == period)?;
    let window = passage.get(first + 1..)?;
    let window = window.get(..query_length).unwrap_or(window);
    let last = window.iter().rposition(|&token| token == period)?;
    window.get(..=last).map(<[u32]>::to_vec)
}

/// Openings of stories, for the demo.
#[derive(Debug, Clone)]
pub struct Openings {
    /// Queries for labels and for training the policy.
    pub train: Vec<String>,
    /// Queries for evaluation, never trained on.
    pub held_out: Vec<String>,
}

/// Returns the story openings inside the program, of which two in five are held out.
///
/// # Errors
/// The errors of [`parse_queries`].
pub fn openings() -> Result<Openings> {
    let text = include_str!("../../datasets/openings.txt");
    let all = parse_queries(text, Path::new("datasets/openings.txt"), &mut LeftOut::default())?;
    let mut openings = Openings { train: Vec::new(), held_out: Vec::new() };
    for (number, opening) in all.into_iter().enumerate() {
        let side = if number % 5 < 3 { &mut openings.train } else { &mut openings.held_out };
        side.push(opening);
    }
    Ok(openings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<String>> {
        parse_queries(text, Path::new("queries.txt"), &mut LeftOut::default())
    }

    #[test]
    fn text_has_a_query_a_line() {
        let queries = parse("\u{feff}The rain fell.\r\n\n  He woke. {Late.}\n").unwrap();
        assert_eq!(queries, ["The rain fell.", "He woke. {Late.}"]);
    }

    #[test]
    fn the_shipped_openings_are_distinct_short_sentences() {
        let queries = parse(include_str!("../../datasets/openings.txt")).unwrap();
        let distinct: std::collections::HashSet<&String> = queries.iter().collect();
        assert_eq!((queries.len(), distinct.len()), (600, 600));
        for query in queries {
            let words = query.split(' ').count();
            assert!((8..=25).contains(&words) && query.ends_with('.'), "{query}");
            assert!(query.is_ascii(), "{query}");
        }
    }

    #[test]
    fn jsonl_is_recognised_and_kept_to_the_letter() {
        let text = "\n{\"query\": \" a\\nb \"}\n  \n{\"id\": 7, \"query\": \"c\"}";
        let mut left_out = LeftOut::default();
        let queries = parse_queries(text, Path::new("queries.txt"), &mut left_out).unwrap();
        assert_eq!(queries, [" a\nb ", "c"]);
        assert_eq!(left_out.number(Reason::BlankLines), 2);
    }

    #[test]
    fn errors_name_the_line_and_what_to_do() {
        let torn = parse("{\"query\": \"a\"}\n\n{\"query\": ").unwrap_err();
        assert!(torn.to_string().starts_with("queries.txt:3: "), "{torn}");
        assert!(!torn.to_string().contains("line 1"), "{torn}");
        assert!(torn.hint().contains("{\"query\""));
        assert_eq!(torn.exit_code(), 4);
        let plain = parse("{\"query\": \"a\"}\nplain").unwrap_err();
        assert!(plain.to_string().starts_with("queries.txt:2: "), "{plain}");
        assert!(parse("{\"query\": \" \"}").is_err());
        let empty = parse(" \n\n").unwrap_err();
        assert!(!empty.hint().is_empty());
    }

    /// A file of one query, as many tools write it.
    #[test]
    fn an_array_of_one_object_over_several_lines_is_one_query() {
        assert_eq!(parse("[\n  {\n    \"query\": \"The door opened.\"\n  }\n]\n").unwrap(), ["The door opened."]);
        assert_eq!(parse("[{\"prompt\": \"a\"},\n{\"prompt\": \" b\", \"id\": 1}]").unwrap(), ["a", " b"]);
        assert_eq!(parse("[\"a, b\", \"c\\n\"]").unwrap(), ["a, b", "c\n"]);
        for name in ["prompt", "text", "input", "question", "instruction", "content"] {
            assert_eq!(parse(&format!("{{\"{name}\": \"a\", \"other\": 1}}")).unwrap(), ["a"]);
        }
        assert_eq!(parse("{\"query\": \"a\", \"prompt\": \"b\"}").unwrap(), ["a"]);
    }

    #[test]
    fn json_of_which_nobody_knows_the_query_is_refused() {
        for (text, says) in [
            (
                "{\"instruction\": \"a\", \"input\": \"b\"}",
                "queries.txt:1: the query may be in any of [\"input\", \"instruction\"]",
            ),
            ("{\"title\": \"a\"}", "there is no field \"query\", only [\"title\"]"),
            ("{\"prompt\": \"a\"}\n{\"text\": \"b\"}", "queries.txt:2: there is no field \"prompt\""),
            ("{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}]}", "the field \"prompt\" is no text"),
            ("[1, 2]", "neither a text nor an object"),
            ("[\"a\",\n\"b\"", "queries.txt:2: not the JSON expected here"),
            ("{\n\"query\": \"a\"\n}", "queries.txt:1: not the JSON expected here"),
            ("[\n]", "there are no queries"),
            ("{\"query\": \"a\", \"query\": \"b\"}", "is there twice"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.to_string().contains(says), "{error} should say {says}");
            assert_eq!(error.exit_code(), 4);
        }
    }

    // 9 is the period.
    const BOOK: [u32; 12] = [1, 2, 9, 3, 4, 9, 5, 9, 6, 7, 8, 1];

    #[test]
    fn a_query_runs_from_after_a_period_to_a_period() {
        let queries = queries_from_book(&BOOK, 9, 4, &[0, 3]);
        assert_eq!(queries, [vec![3, 4, 9], vec![5, 9]]);
        assert_eq!(queries_from_book(&BOOK, 9, 64, &[1]), [vec![3, 4, 9, 5, 9]]);
    }

    #[test]
    fn passages_without_a_whole_sentence_are_skipped() {
        assert!(queries_from_book(&BOOK, 9, 2, &[0]).is_empty());
        assert!(queries_from_book(&BOOK, 9, 0, &[0]).is_empty());
        assert!(queries_from_book(&BOOK, 9, 64, &[6, 8, 12, 99]).is_empty());
    }
}
