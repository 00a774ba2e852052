//! Queries: the texts that the policy continues.

use std::path::Path;

use serde::Deserialize;

use super::{parse_json_line, without_byte_order_mark};
use crate::error::{Error, Result};

const JSONL_HINT: &str = "each line of a JSONL file of queries is {\"query\": \"…\"}";

#[derive(Deserialize)]
struct QueryLine {
    query: String,
}

/// Reads queries: text, one a line, or JSONL `{"query": "…"}` if the first line that is not
/// blank starts with `{`.
///
/// Blank lines are skipped. Text queries lose the spaces around them; JSONL queries are kept to
/// the letter (so they may contain line breaks) and may carry other fields.
///
/// # Errors
/// [`Error::Input`] when there is no query at all, and, with its line number, for a line that is
/// not such JSON or whose query is blank.
pub fn parse_queries(text: &str, path: &Path) -> Result<Vec<String>> {
    let lines: Vec<(usize, &str)> =
        (1..).zip(without_byte_order_mark(text).lines().map(str::trim)).filter(|(_, line)| !line.is_empty()).collect();
    let Some((_, first)) = lines.first() else {
        let hint = "write one query a line, or JSONL {\"query\": \"…\"}";
        return Err(Error::input(path, "there are no queries in this file", hint));
    };
    if first.starts_with('{') {
        let parse = |&(number, line): &(usize, &str)| parse_query_line(line, number, path);
        lines.iter().map(parse).collect()
    } else {
        Ok(lines.iter().map(|(_, line)| (*line).to_owned()).collect())
    }
}

fn parse_query_line(line: &str, line_number: usize, path: &Path) -> Result<String> {
    let QueryLine { query } = parse_json_line(line, line_number, path, JSONL_HINT)?;
    if query.trim().is_empty() {
        return Err(Error::line(path, line_number, "the query is blank", "delete this line"));
    }
    Ok(query)
}

/// Queries cut from a book by the rule of the original code (`lm_tasks.py`, start and end text
/// `.`): of the passage at each of `starts`, what follows its first `period`, at most
/// `query_length` tokens, back to the last `period` among them.
///
/// `tokens` is the whole book; `starts` are indices into it. Passages without such a piece are
/// skipped, so there may be fewer queries than starts. Queries have 1 to `query_length` tokens
/// and end with `period`.
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
    /// For labels and for training the policy.
    pub train: Vec<String>,
    /// For judging, and never trained on.
    pub held_out: Vec<String>,
}

/// The story openings inside the program: two of five are held out.
///
/// # Errors
/// As [`parse_queries`].
pub fn openings() -> Result<Openings> {
    let all = parse_queries(include_str!("../../datasets/openings.txt"), Path::new("datasets/openings.txt"))?;
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
        parse_queries(text, Path::new("queries.txt"))
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
        let queries = parse("\n{\"query\": \" a\\nb \"}\n{\"id\": 7, \"query\": \"c\"}").unwrap();
        assert_eq!(queries, [" a\nb ", "c"]);
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
