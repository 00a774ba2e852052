//! Files of several JSON values: one a line, or all in one array.

use super::dice::Dice;
use super::json::Json;
use super::trial::{Kind, Outcome, run};
use super::{bytes, structure};

/// Runs a test on mutants of such files, each in one of the `forms` at random.
pub fn test(test: &'static str, mutants: u64, entries: &[Json], forms: &[Form], read: &dyn Fn(&[u8]) -> Outcome) {
    run(&Kind {
        test,
        mutants,
        codes: &[4],
        most_refused_only_here: 0.01,
        originals: &unchanged(entries, forms),
        mutant: &|dice| mutant(entries, forms, dice),
        read,
    });
}

/// Makes a mutant of such a file from some of the entries.
pub fn mutant(entries: &[Json], forms: &[Form], dice: &mut Dice) -> Vec<u8> {
    let first = dice.below(entries.len());
    let count = 1 + dice.below(entries.len().min(5));
    let mut chosen: Vec<Json> = (0..count).map(|index| entries[(first + index) % entries.len()].clone()).collect();
    let how = dice.below(8);
    if how < 5 {
        let at = dice.below(chosen.len());
        structure::mutate(&mut chosen[at], dice);
    }
    if how == 5 {
        change_order(&mut chosen, entries, dice);
    }
    let form = forms[dice.below(forms.len())];
    let mut text = form.write(&chosen, dice);
    if dice.one_in(6) {
        structure::escape_a_letter(&mut text, dice);
    }
    let mut bytes = text.into_bytes();
    if how >= 6 || dice.one_in(6) {
        let others = [Form::Lines.write(entries, dice).into_bytes(), Form::Array.write(entries, dice).into_bytes()];
        bytes::mutate(&mut bytes, &others, dice);
    }
    bytes
}

/// Returns a file of all entries in each form, without changes.
pub fn unchanged(entries: &[Json], forms: &[Form]) -> Vec<Vec<u8>> {
    let texts: Vec<String> = entries.iter().map(Json::written).collect();
    let of_form = |form: &Form| match form {
        Form::Lines => texts.join("\n") + "\n",
        Form::Array => format!("[{}]", texts.join(",")),
    };
    forms.iter().map(|form| of_form(form).into_bytes()).collect()
}

fn change_order(chosen: &mut Vec<Json>, entries: &[Json], dice: &mut Dice) {
    let at = dice.below(chosen.len());
    match dice.below(3) {
        0 => chosen.push(chosen[at].clone()),
        1 => chosen.reverse(),
        _ => chosen.insert(at, entries[dice.below(entries.len())].clone()),
    }
}

/// The arrangement of the values in a file.
#[derive(Clone, Copy)]
pub enum Form {
    Lines,
    Array,
}

impl Form {
    fn write(self, entries: &[Json], dice: &mut Dice) -> String {
        let texts: Vec<String> = entries.iter().map(Json::written).collect();
        let between = ["\n", "\n", "\n", "\n", "\r\n", "\n\n", "\n \t\n", "\n\u{3000}\n"][dice.below(8)];
        let before = if dice.one_in(10) { "\u{feff}" } else { "" };
        match self {
            Self::Lines => {
                let after = if dice.one_in(4) { "" } else { between };
                format!("{before}{}{after}", texts.join(between))
            }
            Self::Array => {
                let comma = [",", ",\n", " , ", ",\r\n\n"][dice.below(4)];
                let after = ["", "\n", " \n"][dice.below(3)];
                format!("{before}[{}]{after}", texts.join(comma))
            }
        }
    }
}

/// Reads the entries of a file, each with its line number. Blank lines, white space around a line and a byte
/// order mark are skipped.
pub fn read(bytes: &[u8]) -> Result<Vec<(usize, Json)>, String> {
    let text = text(bytes)?;
    if text.trim_start().starts_with('[') {
        return Json::read_array(text);
    }
    lines(text, str::trim)
}

/// Reads the entries of a file that has one value a line.
pub fn read_lines(text: &str) -> Result<Vec<(usize, Json)>, String> {
    lines(text, |line| line)
}

fn lines(text: &str, of_line: fn(&str) -> &str) -> Result<Vec<(usize, Json)>, String> {
    let lines = (1..).zip(text.split('\n')).filter(|(_, line)| !line.trim().is_empty());
    let read = |(number, line)| match Json::read(of_line(line)) {
        Ok(value) => Ok((number, value)),
        Err(what) => Err(format!("line {number}: {what}")),
    };
    lines.map(read).collect()
}

/// Returns the text without its byte order mark.
pub fn text(bytes: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}
