//! Mutated `config.toml`.

use std::collections::BTreeMap;

use preftune::config::{Config, presets};
use toml::{Table, Value};

use super::bytes;
use super::dice::Dice;
use super::trial::{Kind, outcome, run};

#[test]
fn a_damaged_config_toml_is_refused_or_sets_what_it_says() {
    test("mutations::settings::a_damaged_config_toml_is_refused_or_sets_what_it_says", 1500);
}

#[test]
#[ignore = "takes up to a minute"]
fn every_damaged_config_toml_is_refused_or_sets_what_it_says() {
    test("mutations::settings::every_damaged_config_toml_is_refused_or_sets_what_it_says", 5000);
}

fn test(test: &'static str, mutants: u64) {
    let mut originals: Vec<String> = presets().map(|preset| preset.text.to_string()).collect();
    originals.push(Config::default().to_toml().unwrap());
    originals.push("policy.kl = { target = 3, adaptive = false }\ntask.truncate_token = '\\n'\n".into());
    originals.push("[policy]\nlora.rank = 4\n[policy.kl]\ncoefficient = 0.1e0 # β\n[eval]\npairs = 1_0\n".into());
    let others: Vec<Vec<u8>> = originals.iter().map(|text| text.clone().into_bytes()).collect();
    let defaults = leaves(&Table::try_from(Config::default()).unwrap());
    let keys: Vec<&str> = defaults.keys().map(|key| key.rsplit('.').next().unwrap()).collect();
    run(&Kind {
        test,
        mutants,
        codes: &[2, 4],
        most_refused_only_here: 0.05,
        originals: &others,
        mutant: &|dice| {
            let mut text = originals[dice.below(originals.len())].clone();
            if dice.one_in(3) {
                let mut bytes = text.into_bytes();
                bytes::mutate(&mut bytes, &others, dice);
                return bytes;
            }
            for _ in 0..=dice.below(3) {
                change(&mut text, &keys, dice);
            }
            text.into_bytes()
        },
        read: &|bytes| outcome(ours(bytes), theirs(bytes, &defaults)),
    });
}

/// Type and value of every setting by its key, with floats by their bits.
type Leaves = BTreeMap<String, String>;

fn ours(bytes: &[u8]) -> preftune::Result<Leaves> {
    let path = std::path::Path::new("config.toml");
    let text = std::str::from_utf8(bytes).map_err(|error| preftune::Error::input(path, error.to_string(), ""))?;
    let config = Config::layered(&[("config.toml".into(), text.into())], &[])?;
    Ok(leaves(&Table::try_from(config).unwrap()))
}

/// Returns the defaults, changed by the settings of the file.
fn theirs(bytes: &[u8], defaults: &Leaves) -> Result<Leaves, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut set: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    if set.remove("version").is_some_and(|version| version != Value::Integer(1)) {
        return Err("another version".into());
    }
    let mut all = defaults.clone();
    for (key, value) in leaves(&set) {
        let known = all.get_mut(&key).ok_or(format!("no setting {key}"))?;
        // A setting of type float may be written as a whole number.
        *known = match (known.split_once(' ').unwrap(), value.split_once(' ').unwrap()) {
            (("float", _), ("integer", whole)) => leaf(&Value::Float(whole.parse::<i64>().unwrap() as f64)),
            ((kind, _), (same, _)) if kind == same => value,
            _ => return Err(format!("{key} is {value} and not as {known}")),
        };
    }
    Ok(all)
}

fn leaves(table: &Table) -> Leaves {
    let mut found = Leaves::new();
    collect(table, "", &mut found);
    found
}

fn collect(table: &Table, section: &str, found: &mut Leaves) {
    for (name, value) in table {
        let key = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
        match value {
            Value::Table(inside) => collect(inside, &key, found),
            value => drop(found.insert(key, leaf(value))),
        }
    }
}

fn leaf(value: &Value) -> String {
    match value {
        Value::Float(number) => format!("float {:016x}", number.to_bits()),
        other => format!("{} {other}", other.type_str()),
    }
}

const VALUES: [&str; 44] = [
    "0",
    "1",
    "-1",
    "2",
    "4",
    "1.0",
    "-0.0",
    "0.5",
    "0.1",
    "1e-4",
    "1e-400",
    "1e308",
    "1e400",
    "4.9e-324",
    "nan",
    "-nan",
    "inf",
    "-inf",
    "0x10",
    "0b1",
    "1_000",
    "1__0",
    "+3",
    "007",
    "9007199254740993",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "99999999999999999999",
    "true",
    "\"\"",
    "\"\\n\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "'x'",
    "\"\"\"\na\"\"\"",
    "\"pytorch\"",
    "\"keep_start\"",
    "[]",
    "[1, 2]",
    "{}",
    "{ target = 3 }",
    "2026-11-29",
];

/// Returns a value with one digit changed, if it has digits.
fn other_digit(value: &str, dice: &mut Dice) -> String {
    let digits: Vec<usize> = value.char_indices().filter(|(_, one)| one.is_ascii_digit()).map(|(at, _)| at).collect();
    let mut value = value.to_string();
    if let Some(&at) = digits.get(dice.below(digits.len())) {
        value.replace_range(at..=at, &dice.below(10).to_string());
    }
    value
}

/// Changes a line, or the order of the lines.
fn change(text: &mut String, keys: &[&str], dice: &mut Dice) {
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    let at = dice.below(lines.len());
    let other = dice.below(lines.len());
    let assignment = lines.get(at).and_then(|line| line.split_once('=')).map(|(k, v)| (k.to_string(), v.to_string()));
    match (dice.below(12), assignment) {
        (0..3, Some((key, value))) => lines[at] = format!("{key}={}", other_digit(&value, dice)),
        (3..5, Some((key, _))) => lines[at] = format!("{key}= {}", dice.pick(&VALUES)),
        (5, Some((_, value))) => lines[at] = format!("{} ={value}", dice.pick(keys)),
        (6, Some((key, value))) => lines[at] = format!("{}.{} ={value}", key.trim(), dice.pick(keys)),
        (7, _) if !lines.is_empty() => lines.insert(other, lines[at].clone()),
        (8, _) if !lines.is_empty() => lines.swap(at, other),
        (9, _) if !lines.is_empty() => drop(lines.remove(at)),
        (10, _) => {
            let sections = ["policy", "policy.kl", "task", "reward", "unknown", "\"policy\"", "policy.kl.target"];
            let section = dice.pick(&sections);
            lines.insert(at, if dice.one_in(5) { format!("[[{section}]]") } else { format!("[{section}]") });
        }
        _ => {
            let key = dice.pick(keys);
            let depth = [1, 50, 100, 200, 20_000][dice.below(5)];
            let value = match dice.below(3) {
                0 => dice.pick(&VALUES).to_string(),
                1 => format!("{}{}", "[".repeat(depth), "]".repeat(depth)),
                _ => format!("{}1{}", "{a=".repeat(depth), "}".repeat(depth)),
            };
            lines.insert(at, format!("{key} = {value}"));
        }
    }
    *text = lines.join(if dice.one_in(8) { "\r\n" } else { "\n" }) + "\n";
}
