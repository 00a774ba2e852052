//! Keys of settings, such as `policy.kl.target`, in the tables of TOML.

use toml::{Table, Value};

/// Finds the value of a key such as `policy.kl.target`.
pub(super) fn find<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let (section, rest) = key.split_once('.').unwrap_or((key, ""));
    match table.get(section)? {
        Value::Table(inner) => find(inner, rest),
        value => Some(value),
    }
}

/// Lists every key of a table and of the tables in it, with its sections.
pub(super) fn keys(table: &Table) -> Vec<String> {
    let mut found = Vec::new();
    collect_keys(table, "", &mut found);
    found
}

fn collect_keys(table: &Table, section: &str, keys: &mut Vec<String>) {
    for (name, value) in table {
        let key = join(section, name);
        match value {
            Value::Table(inner) => collect_keys(inner, &key, keys),
            _ => keys.push(key),
        }
    }
}

/// Joins a section and a name to a key; the empty section is the whole file.
pub(super) fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_string() } else { format!("{section}.{name}") }
}
