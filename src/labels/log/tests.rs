use super::*;
use crate::data::comparisons::{Undone, parse_comparisons};

fn comparison(id: &str) -> Comparison {
    let line = format!(r#"{{"id":"{id}","query":"Once","responses":["upon a time","“twice”"],"best":1}}"#);
    parse_comparisons(&line, Path::new("")).unwrap().remove(0)
}

fn ids(log: &LabelLog) -> Vec<&str> {
    log.choices().map(|choice| &*choice.id).collect()
}

#[test]
fn labelling_resumes_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.jsonl");
    let mut log = LabelLog::open(&path).unwrap();
    assert!(log.lines().is_empty());
    log.append(Record::Judged(comparison("a"))).unwrap();
    drop(log);

    let mut log = LabelLog::open(&path).unwrap();
    log.append_many(["b", "c"].map(|id| Record::Judged(comparison(id))).into()).unwrap();
    assert_eq!(ids(&log), ["a", "b", "c"]);
    drop(log);
    assert_eq!(ids(&LabelLog::open(&path).unwrap()), ["a", "b", "c"]);
    let expected: String = ["a", "b", "c"].map(|id| comparison(id).to_line()).concat();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
}

#[test]
fn what_is_taken_back_no_longer_counts_and_stays_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.jsonl");
    let mut log = LabelLog::open(&path).unwrap();
    log.append_many(["a", "b"].map(|id| Record::Judged(comparison(id))).into()).unwrap();
    log.append(Record::Undone(Undone { undo: "a".into(), labeler: String::new(), at: None })).unwrap();
    log.append(Record::Undecided(comparison("c"))).unwrap();
    assert_eq!((ids(&log), log.lines().len()), (vec!["b"], 4));
    drop(log);
    let log = LabelLog::open(&path).unwrap();
    assert_eq!((ids(&log), log.lines().len()), (vec!["b"], 4));
}

/// The program may be killed after any byte of a line.
#[test]
fn a_line_torn_anywhere_is_moved_away_and_the_rest_loads() {
    let (whole, torn) = (comparison("a").to_line(), comparison("b").to_line());
    for written in 1..torn.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.jsonl");
        let cut = &torn.as_bytes()[..written];
        std::fs::write(&path, [whole.as_bytes(), cut].concat()).unwrap();
        let mut log = LabelLog::open(&path).unwrap();
        log.append(Record::Judged(comparison("c"))).unwrap();
        let moved = std::fs::read(folder.path().join("labels.jsonl.torn"));
        if written == torn.len() - 1 {
            assert_eq!(ids(&log), ["a", "b", "c"], "only the newline is missing");
            assert!(moved.is_err());
        } else {
            assert_eq!(ids(&log), ["a", "c"]);
            assert_eq!(moved.unwrap(), [cut, b"\n"].concat());
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(parse_comparisons(&text, &path).unwrap(), log.comparisons().unwrap());
    }
}

#[test]
fn a_second_writer_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.jsonl");
    let first = LabelLog::open(&path).unwrap();
    let refusal = LabelLog::open(&path).unwrap_err();
    assert!(refusal.to_string().contains("another program"), "{refusal}");
    drop(first);
    LabelLog::open(&path).unwrap();
}

#[test]
fn a_comparison_that_cannot_be_read_again_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.jsonl");
    let mut log = LabelLog::open(&path).unwrap();
    let best_out_of_range = Comparison { best: 2, ..comparison("b") };
    assert!(log.append_many([comparison("a"), best_out_of_range].map(Record::Judged).into()).is_err());
    assert!(log.lines().is_empty());
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
}

#[test]
fn a_complete_bad_line_is_an_error_with_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.jsonl");
    for bad in [&b"{\"query\":"[..], b"\xff\xfe"] {
        let whole = comparison("a").to_line();
        std::fs::write(&path, [whole.as_bytes(), bad, b"\n"].concat()).unwrap();
        let error = LabelLog::open(&path).unwrap_err();
        assert!(error.to_string().contains("labels.jsonl:2: "), "{error}");
        let is_cut = bad.starts_with(b"{");
        assert_eq!(error.to_string().ends_with("EOF while parsing a value (column 9)"), is_cut, "{error}");
    }
}

/// Editors and other programs leave files with a byte order mark, a blank line, both kinds of line ends, and no end of
/// the last line.
#[test]
fn each_question_is_found_again_in_a_log_that_was_reopened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.jsonl");
    let [one, two, three] = ["a", "b", "c"].map(|id| comparison(id).to_line().replace("Once", id));
    let text = format!("\u{feff}{}\r\n\n{two}{}", one.trim_end(), three.trim_end());
    std::fs::write(&path, text).unwrap();
    let mut log = LabelLog::open(&path).unwrap();
    let queries =
        |log: &LabelLog| -> Vec<String> { log.choices().map(|choice| log.question(choice).unwrap().query).collect() };
    assert_eq!(queries(&log), ["a", "b", "c"]);
    let more = Comparison { query: "d".into(), ..comparison("d") };
    log.append_many(vec![Record::Judged(more), Record::Judged(comparison("e"))]).unwrap();
    assert_eq!(queries(&log), ["a", "b", "c", "d", "Once"]);
    assert_eq!(log.comparisons().unwrap().len(), 5);
    drop(log);
    assert_eq!(queries(&LabelLog::open(&path).unwrap()), ["a", "b", "c", "d", "Once"]);
}

#[test]
fn a_log_that_another_program_changed_says_so_and_no_other_question_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.jsonl");
    let mut log = LabelLog::open(&path).unwrap();
    log.append(Record::Judged(comparison("a"))).unwrap();
    std::fs::write(&path, comparison("a").to_line().replace("Once", "Ones")).unwrap();
    let error = log.question(&log.lines()[0]).unwrap_err();
    assert!(error.to_string().contains("another program changed it"), "{error}");
}

/// Editors replace a file when they save it, and other programs append to it.
#[cfg(unix)]
#[test]
fn nothing_is_acknowledged_in_a_log_that_another_program_changed_replaced_or_deleted() {
    let line = comparison("b").to_line();
    let disturb: [&dyn Fn(&Path); 5] = [
        &|path| std::fs::remove_file(path).unwrap(),
        &|path| {
            std::fs::write(path.with_extension("new"), &line).unwrap();
            std::fs::rename(path.with_extension("new"), path).unwrap();
        },
        &|path| OpenOptions::new().append(true).open(path).unwrap().write_all(line.as_bytes()).unwrap(),
        &|path| OpenOptions::new().write(true).open(path).unwrap().set_len(10).unwrap(),
        &|path| std::fs::write(path, "").unwrap(),
    ];
    for disturb in disturb {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.jsonl");
        let mut log = LabelLog::open(&path).unwrap();
        log.append(Record::Judged(comparison("a"))).unwrap();
        disturb(&path);
        let before = std::fs::read(&path).ok();
        let error = log.append(Record::Judged(comparison("c"))).unwrap_err();
        assert!(error.to_string().starts_with("another program changed, replaced or deleted"), "{error}");
        assert_eq!((std::fs::read(&path).ok(), log.labels()), (before, 1));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_is_a_file() {
    let refusal = LabelLog::open(Path::new("/dev/zero")).unwrap_err();
    assert!(refusal.to_string().contains("/dev/zero is a pipe or a device"), "{refusal}");
    assert_eq!(LabelLog::open(Path::new("/dev/stdout")).unwrap_err().exit_code(), 2);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported() {
    let path = PathBuf::from("/dev/full");
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let mut log = LabelLog { path, file, length_bytes: 0, was_refused: true, index: Index::default() };
    let error = log.append(Record::Judged(comparison("a"))).unwrap_err();
    assert!(matches!(error, Error::File { action: "write", .. }), "{error}");
    assert!(log.lines().is_empty());
}
