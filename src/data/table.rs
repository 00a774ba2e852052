//! Tables (CSV and similar formats), which are refused with an error that names them.

use std::path::Path;

use crate::error::Error;

/// Names of columns with texts that this program reads.
const NAMES: [&str; 15] = [
    "query",
    "prompt",
    "text",
    "input",
    "question",
    "instruction",
    "content",
    "chosen",
    "rejected",
    "response",
    "responses",
    "completion",
    "label",
    "best",
    "sentence",
];

const HINT: &str = "save it as JSONL, one object a line, such as with Python: pandas.read_csv(…).to_json(…, orient=\"records\", lines=True)";

/// Returns the error for a line that is the header of a table, or is in a file whose name is that of a table.
pub(super) fn refuse(line: &str, number: usize, path: &Path) -> Option<Error> {
    if line.starts_with(['{', '[']) {
        return None;
    }
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let what = match columns(line) {
        Some(columns) => format!("this is a table with the columns {}", columns.join(", ")),
        None if extension == "csv" || extension == "tsv" => "tables are not read".into(),
        None => return None,
    };
    Some(Error::line(path, number, what, HINT))
}

/// Returns the names in the header of a table, if at least one is known.
fn columns(line: &str) -> Option<Vec<String>> {
    [',', '\t', ';'].into_iter().find_map(|separator| {
        let names: Vec<String> = line.split(separator).map(|cell| cell.trim().trim_matches('"').to_owned()).collect();
        let is_word = |name: &String| {
            name.len() <= 40 && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        };
        let is_known = |name: &String| NAMES.contains(&name.to_ascii_lowercase().as_str());
        (names.iter().all(is_word) && names.iter().any(is_known)).then_some(names)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_told_from_text() {
        for header in ["query", "id,query", "\"prompt\"\t\"chosen\"\t\"rejected\"", ",Text,x", "Prompt;n"] {
            assert!(refuse(header, 1, Path::new("q.txt")).is_some(), "{header}");
        }
        for text in ["The text, she said.", "Stop, query that!", "{\"query\": \"a\"}", "Yes.", ""] {
            assert!(refuse(text, 1, Path::new("q.txt")).is_none(), "{text}");
        }
        let error = refuse("The door opened.", 1, Path::new("q.CSV")).unwrap();
        assert_eq!((error.to_string().as_str(), error.exit_code()), ("q.CSV:1: tables are not read", 4));
    }
}
