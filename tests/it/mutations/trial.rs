//! Runs of all mutants of one kind in a process of their own, so that an abort, a hang or too much memory
//! fails one test, which names the mutant.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::{Seek, SeekFrom, Write};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::dice::Dice;

/// Environment variable of the process that reads the mutants: the folder of its notes.
const NOTES: &str = "PREFTUNE_MUTATION_NOTES";

/// Time after which a process that has not come to its next mutant counts as hanging. Making the originals
/// may take a while, and the machine may be busy.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// Memory that a reader may take besides four times the size of the file, in bytes.
const MEMORY_ALLOWANCE: u64 = 64 << 20;

/// Address space of the process that reads, in KiB. A larger allocation fails, even if it is never touched.
const ADDRESS_SPACE_KIB: u64 = 6 << 20;

/// Number of distinct differences that are shown.
const SHOWN: usize = 12;

/// One kind of file.
pub struct Kind<'a> {
    /// Path of the test, which the other process runs.
    pub test: &'static str,
    pub mutants: u64,
    /// Exit codes with which this kind is refused.
    pub codes: &'a [u8],
    /// Largest share of mutants that the program may refuse although the independent reader, which has fewer
    /// limits, reads them.
    pub most_refused_only_here: f64,
    /// Files without changes, each of which must be read as the independent reader reads it.
    pub originals: &'a [Vec<u8>],
    /// Function that makes a mutant, the same from the same random numbers.
    pub mutant: &'a dyn Fn(&mut Dice) -> Vec<u8>,
    /// Function that reads a file with the program and with the independent reader.
    pub read: &'a dyn Fn(&[u8]) -> Outcome,
}

/// The result of reading a mutant.
pub enum Outcome {
    /// Read, with the result of the independent reader.
    Same,
    Refused {
        code: u8,
        /// True if the independent reader reads the file.
        only_here: bool,
        text: String,
    },
    /// Read, but not as the independent reader does.
    Different(String),
}

/// Compares the program's result for a file with that of the independent reader.
pub fn outcome<T: PartialEq + Debug>(ours: preftune::Result<T>, theirs: Result<T, String>) -> Outcome {
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) if ours == theirs => Outcome::Same,
        (Ok(ours), Ok(theirs)) => Outcome::Different(difference(&format!("{ours:?}"), &format!("{theirs:?}"))),
        (Ok(ours), Err(why)) => {
            Outcome::Different(format!("{why}\n  read as {}", shortened(&format!("{ours:?}"), 300)))
        }
        (Err(error), theirs) => {
            Outcome::Refused { code: error.exit_code(), only_here: theirs.is_ok(), text: error.to_string() }
        }
    }
}

/// Returns the place at which two results differ as text, with some text around it.
fn difference(ours: &str, theirs: &str) -> String {
    let alike = ours.chars().zip(theirs.chars()).take_while(|(one, other)| one == other).count();
    let around = |text: &str| text.chars().skip(alike.saturating_sub(60)).take(160).collect::<String>();
    format!("read:     …{}…\n  there is: …{}…", around(ours), around(theirs))
}

/// Counts that the process that read the mutants writes down.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Count {
    same: u64,
    /// Number of refused mutants by exit code.
    refused: BTreeMap<u8, u64>,
    /// Number of refused mutants that the independent reader reads.
    refused_only_here: u64,
    only_here: Vec<String>,
    different: u64,
    differences: Vec<String>,
    slowest_us: u64,
    largest_file: u64,
    /// Growth of the peak resident memory since the start, if the system reports it.
    peak_bytes: Option<u64>,
}

/// Reads the mutants, and checks that each is refused with an error or read as the independent reader reads
/// it.
pub fn run(kind: &Kind<'_>) {
    match std::env::var_os(NOTES) {
        Some(notes) => read_all(kind, Path::new(&notes)),
        None => {
            let count = in_a_process(kind);
            check(kind, &count);
        }
    }
}

fn check(kind: &Kind<'_>, count: &Count) {
    let refused: Vec<String> = count.refused.iter().map(|(code, number)| format!("exit {code}: {number}")).collect();
    println!(
        "{}: {} mutants; the same as the independent reader: {}; {}; refused here only: {}; different: {}; \
         at most {:.1} ms and {} MB; files of up to {} bytes",
        kind.test,
        kind.mutants,
        count.same,
        refused.join(", "),
        count.refused_only_here,
        count.different,
        count.slowest_us as f64 / 1000.0,
        count.peak_bytes.map_or("?".into(), |bytes| (bytes >> 20).to_string()),
        count.largest_file,
    );
    count.only_here.iter().for_each(|text| println!("  refused here only: {text}"));
    let differences = count.differences.join("\n");
    assert!(count.different == 0, "{} of {} mutants:\n{differences}", count.different, kind.mutants);
    assert!(count.same > 0, "no mutant was read: the mutants are too wild to test anything");
    assert!(count.refused.values().sum::<u64>() > 0, "no mutant was refused: the mutants are too tame");
    if let Some(code) = count.refused.keys().find(|code| !kind.codes.contains(code)) {
        panic!("refused with exit code {code}");
    }
    let most = (kind.most_refused_only_here * kind.mutants as f64).ceil() as u64;
    assert!(
        count.refused_only_here <= most,
        "{} of {} mutants are refused that the independent reader reads, more than {most}:\n{}",
        count.refused_only_here,
        kind.mutants,
        count.only_here.join("\n")
    );
    if let Some(peak) = count.peak_bytes {
        let allowed = 4 * count.largest_file + MEMORY_ALLOWANCE;
        assert!(peak <= allowed, "{peak} bytes of memory for files of up to {} bytes", count.largest_file);
    }
}

fn in_a_process(kind: &Kind<'_>) -> Count {
    let folder = tempfile::tempdir().unwrap();
    let mut child = command()
        .args(["--exact", kind.test, "--include-ignored", "--nocapture"])
        .env(NOTES, folder.path())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.path().join("errors")).unwrap())
        .spawn()
        .unwrap();
    let ended = wait(&mut child, folder.path());
    let errors = std::fs::read(folder.path().join("errors")).unwrap();
    let at = mutant_under_way(folder.path());
    assert!(ended == "exit status: 0", "mutant {at} of {}: {ended}\n{}", kind.test, String::from_utf8_lossy(&errors));
    serde_json::from_slice(&std::fs::read(folder.path().join("count")).unwrap()).unwrap()
}

/// Returns the command that runs this test binary, on Linux with a limit on memory.
fn command() -> Command {
    let program = std::env::current_exe().unwrap();
    if !cfg!(target_os = "linux") {
        return Command::new(program);
    }
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {ADDRESS_SPACE_KIB}; exec \"$0\" \"$@\"")]).arg(program);
    command
}

/// Waits for the process and returns how it ended. A process that does not come to its next mutant is killed.
fn wait(child: &mut Child, notes: &Path) -> String {
    let mut seen = (String::new(), Instant::now());
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.to_string();
        }
        let at = mutant_under_way(notes);
        if at != seen.0 {
            seen = (at, Instant::now());
        }
        if seen.1.elapsed() > HANGS_AFTER {
            child.kill().unwrap();
            child.wait().unwrap();
            return "hangs".into();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn mutant_under_way(notes: &Path) -> String {
    std::fs::read_to_string(notes.join("mutant")).unwrap_or_default()
}

static PANICS: AtomicU64 = AtomicU64::new(0);

fn read_all(kind: &Kind<'_>, notes: &Path) {
    let printed = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        printed(panic);
    }));
    let mut note = std::fs::File::create(notes.join("mutant")).unwrap();
    let mut count = Count::default();
    let at_start = peak_memory();
    for original in kind.originals {
        write!(note, "an original").unwrap();
        let what = match (kind.read)(original) {
            Outcome::Same => continue,
            Outcome::Refused { text, .. } => format!("refused: {text}"),
            Outcome::Different(what) => what,
        };
        panic!("an original: {what}\n{}", shortened(&original.escape_ascii().to_string(), 600));
    }
    note.set_len(0).unwrap();
    for number in 0..kind.mutants {
        let mutant = (kind.mutant)(&mut Dice::new(kind.test, number));
        note.seek(SeekFrom::Start(0)).unwrap();
        write!(note, "{number}").unwrap();
        let begun = Instant::now();
        let outcome = (kind.read)(&mutant);
        count.slowest_us = count.slowest_us.max(begun.elapsed().as_micros() as u64);
        count.largest_file = count.largest_file.max(mutant.len() as u64);
        assert!(PANICS.load(Ordering::Relaxed) == 0, "a panic was caught without a word");
        count.add(number, &mutant, outcome);
    }
    count.peak_bytes = peak_memory().zip(at_start).map(|(peak, start)| peak - start);
    std::fs::write(notes.join("count"), serde_json::to_vec(&count).unwrap()).unwrap();
}

impl Count {
    fn add(&mut self, number: u64, mutant: &[u8], outcome: Outcome) {
        match outcome {
            Outcome::Same => self.same += 1,
            Outcome::Refused { code, only_here, text } => {
                *self.refused.entry(code).or_default() += 1;
                if only_here {
                    self.refused_only_here += 1;
                    note(&mut self.only_here, text);
                }
            }
            Outcome::Different(what) => {
                self.different += 1;
                let shown = shortened(&mutant.escape_ascii().to_string(), 600);
                note(&mut self.differences, format!("{what}\n  mutant {number}: {shown}"));
            }
        }
    }
}

/// Keeps a text, unless one that begins alike but for names and numbers is kept already.
fn note(kept: &mut Vec<String>, text: String) {
    let beginning = |text: &str| {
        let outside_quotes = text.split('"').step_by(2).flat_map(str::chars);
        outside_quotes.filter(|one| one.is_alphabetic()).take(40).collect::<String>()
    };
    if kept.len() < SHOWN && !kept.iter().any(|one| beginning(one) == beginning(&text)) {
        kept.push(shortened(&text, 2000));
    }
}

fn shortened(text: &str, length: usize) -> String {
    let kept: String = text.chars().take(length).collect();
    if kept.len() < text.len() { kept + "…" } else { kept }
}

/// Returns the peak resident memory of this process, in bytes.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

/// Makes a folder that lasts until it is removed.
pub fn folder() -> PathBuf {
    tempfile::tempdir().unwrap().keep()
}
