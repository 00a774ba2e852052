//! Merging of partial TOML tables into the defaults, with errors that name key and layer.

use serde::Deserialize;
use toml::{Table, Value};

use super::Config;
use super::bounds::{shortened, shown};
use super::defaults::bounds_of;
use super::keys::{find, join, keys};
use crate::error::{Error, Result};
use crate::format_version::{FormatVersion, NEWER_HINT, NEWEST_VERSION};

const SET_EXAMPLE: &str = "settings look like: --set policy.learning_rate=1e-4";

/// Largest number of nested sections in a key; no setting has as many.
const MOST_SECTIONS: usize = 8;

/// Largest numbers of characters that an error shows: of a layer's name or a key, and of an error in TOML.
const SHOWN: usize = 100;
const SHOWN_OF_TOML: usize = 400;

/// Least similarity (Jaro-Winkler, 0 to 1) at which a key is suggested.
const WORTH_SUGGESTING: f64 = 0.7;

/// The settings so far, as a table in which every key has a value.
pub(super) struct Settings {
    table: Table,
    known_keys: Vec<String>,
}

/// The source of changes to the settings, and the keys that it may change.
struct Layer<'a> {
    origin: &'a str,
    known_keys: &'a [String],
}

impl Settings {
    pub(super) fn new(defaults: &Config) -> Result<Self> {
        let table = Table::try_from(defaults)
            .map_err(|error| Error::failed(format!("the default settings are not TOML: {error}"), ""))?;
        Ok(Self { known_keys: keys(&table), table })
    }

    /// Applies `changes` to the settings; `origin` is named in errors.
    pub(super) fn change(&mut self, origin: &str, changes: Table) -> Result<()> {
        let origin = &shortened(origin, SHOWN);
        Layer { origin, known_keys: &self.known_keys }.overlay(&mut self.table, changes, "")?;
        // The settings are read after each layer, so that the error names the layer that caused it.
        self.config().map(drop).map_err(|error| Error::usage(format!("{origin}: {error}"), error.hint()))
    }

    /// Lists the keys whose value in `new` differs, each as `key old → new`.
    pub(super) fn differences(&self, new: &Self) -> Vec<String> {
        let values = self.known_keys.iter().map(|key| (key, find(&self.table, key), find(&new.table, key)));
        let differing = values.filter(|(_, old, new)| old != new);
        differing.filter_map(|(key, old, new)| Some(format!("{key} {} → {}", old?, new?))).collect()
    }

    pub(super) fn config(&self) -> Result<Config> {
        Config::deserialize(self.table.clone()).map_err(|error| {
            let message = error.to_string().trim_end().replace('\n', " ");
            Error::usage(message, "`preftune presets --settings` lists every setting with its bounds")
        })
    }
}

impl Layer<'_> {
    fn overlay(&self, settings: &mut Table, changes: Table, section: &str) -> Result<()> {
        for (name, new) in changes {
            let key = join(section, &name);
            match (settings.get_mut(&name), new) {
                (None, _) => return Err(self.unknown(&key)),
                (Some(Value::Table(inner)), Value::Table(changes)) => self.overlay(inner, changes, &key)?,
                (Some(Value::Table(_)), _) => {
                    return Err(self.wrong(&format!("[{key}] is a section"), "set one of its keys"));
                }
                (Some(old @ Value::Float(_)), Value::Integer(whole)) => *old = Value::Float(whole as f64),
                (Some(old), new) if fits(old, &new) => *old = new,
                (Some(old), new) => {
                    let hint = format!("for example {key} = {old}");
                    let must_be = match bounds_of(&key) {
                        Some(bounds) => format!("{} {}", kind(old), bounds.range),
                        None => kind(old).into(),
                    };
                    return Err(self.wrong(&format!("{key} must be {must_be}, not {}", shown(&new)), &hint));
                }
            }
        }
        Ok(())
    }

    fn unknown(&self, key: &str) -> Error {
        let of_this_name: Vec<&str> =
            self.known_keys.iter().map(String::as_str).filter(|known| is_in_section(known, key)).collect();
        let similarity = |known: &str| strsim::jaro_winkler(&sort_key(known), &sort_key(key));
        let nearest = self
            .known_keys
            .iter()
            .map(|known| (similarity(known), known))
            .filter(|(similarity, _)| *similarity >= WORTH_SUGGESTING)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let hint = match (nearest, of_this_name.len()) {
            (_, 1..) => format!("did you mean {}?", of_this_name.join(" or ")),
            (Some((_, known)), _) => format!("did you mean {known}?"),
            (None, _) => "`preftune presets --settings` lists every setting".to_string(),
        };
        self.wrong(&format!("unknown setting {}", shortened(key, SHOWN)), &hint)
    }

    fn wrong(&self, what: &str, hint: &str) -> Error {
        Error::usage(format!("{}: {what}", self.origin), hint)
    }
}

/// Reads the TOML text of a layer.
pub(super) fn parse_layer(origin: &str, text: &str) -> Result<Table> {
    let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
        let error = shortened(error.to_string().trim_end(), SHOWN_OF_TOML);
        Error::usage(format!("{origin}: {error}"), "settings look like: learning_rate = 1e-4")
    })?;
    let fault = match table.remove("version") {
        None => None,
        Some(Value::Integer(version)) => FormatVersion::fault(version as f64),
        Some(other) => Some(format!("version must be a number, not {other}")),
    };
    fault.map_or(Ok(table), |fault| Err(Error::usage(format!("{origin}: {fault}"), NEWER_HINT)))
}

/// Returns the line with the version of the format.
pub(super) fn version_line() -> String {
    format!("version = {NEWEST_VERSION}")
}

/// Reads `section.key=value` into the table it stands for.
pub(super) fn parse_set(set: &str) -> Result<Table> {
    let wrong = |what: &str| Error::usage(format!("--set {}: {what}", shortened(set, SHOWN)), SET_EXAMPLE);
    let (key, text) = set.split_once('=').ok_or_else(|| wrong("there is no ="))?;
    if key.matches('.').count() > MOST_SECTIONS {
        return Err(wrong("no setting lies in so many sections"));
    }
    let value = text.trim().parse().unwrap_or_else(|_| Value::String(text.trim().into()));
    let mut names = key.trim().rsplit('.');
    let mut table = Table::from_iter([(names.next().unwrap_or_default().to_string(), value)]);
    for section in names {
        table = Table::from_iter([(section.to_string(), Value::Table(table))]);
    }
    Ok(table)
}

/// Checks whether a known key is this one with its section before it.
fn is_in_section(known: &str, key: &str) -> bool {
    known.strip_suffix(key).is_some_and(|section| section.ends_with('.'))
}

/// Puts a key's name before its section, because people misplace a key more often than they misspell it.
fn sort_key(key: &str) -> String {
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    format!("{name} {section}")
}

/// Checks that a new value has the type of the old one, and that a whole number, which always counts something,
/// is not negative.
fn fits(old: &Value, new: &Value) -> bool {
    old.same_type(new) && new.as_integer().is_none_or(|count| count >= 0)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        _ => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(layer: &str, sets: &[&str]) -> (String, String) {
        let layers = [("my.toml".to_string(), layer.to_string())];
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        let error = Config::layered(&layers, &sets).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        (error.to_string(), error.hint())
    }

    #[test]
    fn an_unknown_key_is_named_with_its_layer_and_the_nearest_one() {
        let (what, hint) = refused("[policy]\nlearning_rat = 1e-4", &[]);
        assert_eq!(what, "my.toml: unknown setting policy.learning_rat");
        assert_eq!(hint, "did you mean policy.learning_rate?");
        let (what, hint) = refused("", &["policy.kl.targte=3"]);
        assert_eq!(what, "--set policy.kl.targte=3: unknown setting policy.kl.targte");
        assert_eq!(hint, "did you mean policy.kl.target?");
        assert_eq!(refused("", &["clip_range=0.1"]).1, "did you mean policy.clip_range?");
        let hint = refused("", &["learning_rate=0.1"]).1;
        assert_eq!(
            hint,
            "did you mean policy.learning_rate or pretrain.learning_rate or reward.learning_rate or sft.learning_rate?"
        );
        assert_eq!(refused("[polcy]", &[]).0, "my.toml: unknown setting polcy");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named() {
        let (what, hint) = refused("policy.epochs = \"four\"", &[]);
        assert_eq!(what, "my.toml: policy.epochs must be a whole number from 1 to 100, not \"four\"");
        assert_eq!(hint, "for example policy.epochs = 1");
        assert_eq!(refused("", &["policy=3"]).0, "--set policy=3: [policy] is a section");
        assert_eq!(
            refused("", &["task.temperature=1e-4x"]).0,
            "--set task.temperature=1e-4x: task.temperature must be a number from 0.001 to 1000, not \"1e-4x\""
        );
    }

    #[test]
    fn a_value_out_of_range_is_named() {
        let (what, _) = refused("policy.epochs = -1", &[]);
        assert_eq!(what, "my.toml: policy.epochs must be a whole number from 1 to 100, not -1");
        let (what, _) = refused("", &["reward.adam=keras"]);
        assert!(
            what.starts_with("--set reward.adam=keras: unknown variant `keras`, expected `tensorflow` or"),
            "{what}"
        );
    }

    /// A table that lies 60,000 deep would overflow the stack when it is freed.
    #[test]
    fn what_is_much_too_long_is_refused_in_short() {
        let deep = format!("{}a=1", "a.".repeat(60_000));
        let (what, _) = refused("", &[&deep]);
        assert!(what.ends_with("…: no setting lies in so many sections") && what.len() < 200, "{what}");
        for layer in [
            format!("task.query_prefix = {}", "9".repeat(1 << 20)),
            format!("{} = 1", "a".repeat(1 << 20)),
            format!("policy.epochs = \"{}\"", "a".repeat(1 << 20)),
            format!("policy.epochs = {}", "[1, ".repeat(1 << 18)),
        ] {
            let (what, _) = refused(&layer, &[]);
            assert!(what.len() < 1000, "{}", what.len());
        }
    }

    #[test]
    fn what_is_not_toml_is_refused_with_its_place() {
        let (what, _) = refused("[policy]\nepochs = = 3", &[]);
        assert!(what.starts_with("my.toml: TOML parse error at line 2"), "{what}");
        assert_eq!(refused("", &["policy.epochs"]).0, "--set policy.epochs: there is no =");
    }
}
