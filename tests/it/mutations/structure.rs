//! Mutations of JSON that keep most of it valid.

use super::dice::Dice;
use super::json::Json;

/// Values that replace others.
const VALUES: [&str; 42] = [
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "-0",
    "2",
    "3",
    "1.0",
    "0.5",
    "1e2",
    "1E+2",
    "0e0",
    "1e-400",
    "1e308",
    "1e309",
    "-1e999",
    "0.1",
    "0.19808613744640002",
    "9007199254740993",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "123456789012345678901234567890",
    "01",
    "+1",
    "NaN",
    "Infinity",
    "\"\"",
    "\" \"",
    "\"0\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\u0000\\u001b[31m\"",
    "\"\\u202e\u{feff}é\"",
    "[]",
    "{}",
    "[[]]",
    "{\"\":0}",
];

/// Pieces that are inserted into texts.
const TEXTS: [&str; 14] = [
    "",
    " ",
    "\n",
    "\r\n",
    "\0",
    "\u{1b}[31m",
    "\u{a0}",
    "\u{3000}",
    "é",
    "😀",
    "\u{202e}",
    "../",
    "\\",
    "\n\nAssistant:",
];

/// Changes a value in one to three places.
pub fn mutate(json: &mut Json, dice: &mut Dice) {
    for _ in 0..=[0, 0, 0, 1, 2][dice.below(5)] {
        let keys = keys(json);
        let other = value_at(json, dice.below(size(json))).clone();
        let number = dice.below(size(json));
        change(value_at(json, number), &keys, other, dice);
    }
}

fn change(value: &mut Json, keys: &[String], other: Json, dice: &mut Dice) {
    if dice.one_in(4) {
        *value = extreme(dice);
        return;
    }
    match value {
        Json::Object(members) if !members.is_empty() => change_object(members, keys, other, dice),
        Json::Array(entries) if !entries.is_empty() => change_array(entries, other, dice),
        Json::Number(digits) => {
            let whole = digits.parse::<i128>();
            *digits = match (dice.below(6), whole) {
                (0, Ok(whole)) => (whole + 1).to_string(),
                (1, Ok(whole)) => (whole - 1).to_string(),
                (2, Ok(whole)) => (whole * 10).to_string(),
                (3, Ok(_)) => format!("{digits}.0"),
                (4, Ok(_)) => format!("{digits}e0"),
                (_, Err(_)) if dice.one_in(2) => format!("{digits}1"),
                _ => format!("-{digits}"),
            };
        }
        Json::Text(text) => match dice.below(6) {
            0 => text.clear(),
            1 => *text = text.repeat(2),
            2 => text.push(' '),
            3 if dice.one_in(8) => *text = text.repeat(1000),
            _ => {
                let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
                text.insert_str(places[dice.below(places.len())], dice.pick(&TEXTS));
            }
        },
        _ => *value = if dice.one_in(2) { other } else { extreme(dice) },
    }
    // An object becomes an array of its values, for readers that accept both.
    if let Json::Object(members) = value
        && dice.one_in(12)
    {
        *value = Json::Array(members.drain(..).map(|(_, value)| value).collect());
    }
}

fn change_object(members: &mut Vec<(String, Json)>, keys: &[String], other: Json, dice: &mut Dice) {
    let at = dice.below(members.len());
    match dice.below(8) {
        0 => drop(members.remove(at)),
        1 => {
            let twice = members[at].clone();
            members.insert(dice.below(members.len() + 1), twice);
        }
        2 => {
            let twice = (members[at].0.clone(), if dice.one_in(2) { extreme(dice) } else { other });
            members.insert(dice.below(members.len() + 1), twice);
        }
        3 => members[at].0 = keys[dice.below(keys.len())].clone(),
        4 => {
            let key = &mut members[at].0;
            match dice.below(3) {
                0 => key.push(' '),
                1 => *key = key.to_uppercase(),
                _ => *key = String::new(),
            }
        }
        5 => members.push(("unknown".into(), other)),
        6 => {
            let last = members.len() - 1;
            members.swap(at, last);
        }
        _ => members[at].1 = other,
    }
}

fn change_array(entries: &mut Vec<Json>, other: Json, dice: &mut Dice) {
    let at = dice.below(entries.len());
    match dice.below(6) {
        0 => drop(entries.remove(at)),
        1 => entries.insert(at, entries[at].clone()),
        2 => entries.push(other),
        3 => entries[at] = other,
        4 => {
            let last = entries.len() - 1;
            entries.swap(at, last);
        }
        _ => entries.clear(),
    }
}

fn extreme(dice: &mut Dice) -> Json {
    match dice.below(VALUES.len() + 2) {
        0 => {
            let depth = [3, 100, 126, 127, 128, 129, 1000, 20_000][dice.below(8)];
            Json::Raw(format!("{}{}", "[".repeat(depth), "]".repeat(depth)))
        }
        1 => {
            let depth = [3, 100, 127, 128, 20_000][dice.below(5)];
            Json::Raw(format!("{}0{}", "{\"a\":".repeat(depth), "}".repeat(depth)))
        }
        other => Json::Raw(VALUES[other - 2].into()),
    }
}

/// Counts the values in a value, itself included.
fn size(json: &Json) -> usize {
    1 + match json {
        Json::Array(entries) => entries.iter().map(size).sum(),
        Json::Object(members) => members.iter().map(|(_, value)| size(value)).sum(),
        _ => 0,
    }
}

/// Returns the value with this number, in the order in which values are written.
fn value_at(json: &mut Json, number: usize) -> &mut Json {
    if number == 0 {
        return json;
    }
    let mut left = number - 1;
    let inside: Vec<&mut Json> = match json {
        Json::Array(entries) => entries.iter_mut().collect(),
        Json::Object(members) => members.iter_mut().map(|(_, value)| value).collect(),
        _ => Vec::new(),
    };
    for value in inside {
        let size = size(value);
        if left < size {
            return value_at(value, left);
        }
        left -= size;
    }
    unreachable!("a number below the size")
}

fn keys(json: &Json) -> Vec<String> {
    let mut found = vec!["__metadata__".to_string(), "unknown".to_string()];
    collect_keys(json, &mut found);
    found
}

fn collect_keys(json: &Json, found: &mut Vec<String>) {
    match json {
        Json::Array(entries) => entries.iter().for_each(|entry| collect_keys(entry, found)),
        Json::Object(members) => members.iter().for_each(|(key, value)| {
            found.push(key.clone());
            collect_keys(value, found);
        }),
        _ => {}
    }
}

/// Replaces a letter of the text by JSON's escape, which leaves the key or value the same.
pub fn escape_a_letter(text: &mut String, dice: &mut Dice) {
    let letters: Vec<usize> =
        text.char_indices().filter(|(_, one)| one.is_ascii_lowercase()).map(|(at, _)| at).collect();
    if let Some(&at) = letters.get(dice.below(letters.len())) {
        let escape = format!("\\u{:04x}", text.as_bytes()[at]);
        text.replace_range(at..=at, &escape);
    }
}
