//! A strict reader of JSON by RFC 8259, with numbers as they are written and no key twice. The program's
//! readers are compared with it, and its values are mutated. A value that no reader can represent, such as
//! half of a surrogate pair or very deep nesting, is an error only if it is used.

use std::fmt::Write;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// Number as it is written.
    Number(String),
    Text(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
    /// Text of a value that cannot be read, or of no JSON at all.
    Raw(String),
}

/// Largest depth of nesting that is read, which is that of other readers.
const DEEPEST: usize = 128;

impl Json {
    /// Reads the value of a whole text.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.skip_white_space();
        if reader.at < text.len() { Err(format!("text after the value at {}", reader.at)) } else { Ok(value) }
    }

    /// Reads the entries of an array, each with the line on which it begins, from 1.
    pub fn read_array(text: &str) -> Result<Vec<(usize, Self)>, String> {
        let mut reader = Reader { text, at: 0 };
        let mut entries = Vec::new();
        reader.sequence('[', ']', |reader| {
            reader.skip_white_space();
            let line = 1 + reader.text[..reader.at].matches('\n').count();
            entries.push((line, reader.value(1)?));
            Ok(())
        })?;
        reader.skip_white_space();
        if reader.at < text.len() { Err("text after the array".into()) } else { Ok(entries) }
    }

    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find_map(|(name, value)| (name == key).then_some(value)),
            _ => None,
        }
    }

    /// Returns the member `key`, if it is there and not null.
    pub fn some(&self, key: &str) -> Option<&Self> {
        self.get(key).filter(|value| **value != Self::Null)
    }

    pub fn object(&self) -> Result<&[(String, Self)], String> {
        match self {
            Self::Object(members) => Ok(members),
            other => Err(format!("no object: {}", other.written())),
        }
    }

    pub fn array(&self) -> Result<&[Self], String> {
        match self {
            Self::Array(entries) => Ok(entries),
            other => Err(format!("no array: {}", other.written())),
        }
    }

    pub fn text(&self) -> Result<&str, String> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(format!("no text: {}", other.written())),
        }
    }

    /// Returns a count, which is written in digits alone.
    pub fn count(&self) -> Result<u64, String> {
        match self {
            Self::Number(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                digits.parse().map_err(|_| format!("{digits} is too large"))
            }
            other => Err(format!("no count: {}", other.written())),
        }
    }

    /// Returns a number, exact to the last bit.
    pub fn number(&self) -> Result<f64, String> {
        match self {
            Self::Number(digits) => digits
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite())
                .ok_or_else(|| format!("{digits} is infinite")),
            other => Err(format!("no number: {}", other.written())),
        }
    }

    /// Checks whether a reader can represent this value and every value in it.
    pub fn can_be_held(&self) -> bool {
        match self {
            Self::Raw(_) => false,
            Self::Number(_) => self.number().is_ok(),
            Self::Array(entries) => entries.iter().all(Self::can_be_held),
            Self::Object(members) => {
                let is_raw = |key: &str| key.starts_with('"') && key.contains("\\u");
                members.iter().all(|(key, value)| !is_raw(key) && value.can_be_held())
            }
            Self::Null | Self::Bool(_) | Self::Text(_) => true,
        }
    }

    /// Checks that the member `version`, if there is one, is the first version.
    pub fn is_of_version_1(&self) -> bool {
        self.get("version").is_none_or(|version| version.number() == Ok(1.0))
    }

    pub fn written(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        match self {
            Self::Null => text.push_str("null"),
            Self::Bool(value) => write!(text, "{value}").unwrap(),
            Self::Number(raw) | Self::Raw(raw) => text.push_str(raw),
            Self::Text(value) => text.push_str(&quoted(value)),
            Self::Array(entries) => {
                text.push('[');
                for (index, entry) in entries.iter().enumerate() {
                    text.push_str(if index == 0 { "" } else { "," });
                    entry.write(text);
                }
                text.push(']');
            }
            Self::Object(members) => {
                text.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    text.push_str(if index == 0 { "" } else { "," });
                    text.push_str(&quoted(key));
                    text.push(':');
                    value.write(text);
                }
                text.push('}');
            }
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Json, String> {
        if depth >= DEEPEST {
            return self.skip();
        }
        self.skip_white_space();
        match self.text[self.at..].chars().next() {
            Some('{') => {
                let mut members: Vec<(String, Json)> = Vec::new();
                self.sequence('{', '}', |reader| {
                    reader.skip_white_space();
                    let (Json::Text(key) | Json::Raw(key)) = reader.string()? else { unreachable!() };
                    reader.expect(':')?;
                    let value = reader.value(depth + 1)?;
                    if members.iter().any(|(known, _)| *known == key) {
                        return Err(format!("the key {key:?} stands there twice"));
                    }
                    members.push((key, value));
                    Ok(())
                })?;
                Ok(Json::Object(members))
            }
            Some('[') => {
                let mut entries = Vec::new();
                self.sequence('[', ']', |reader| {
                    entries.push(reader.value(depth + 1)?);
                    Ok(())
                })?;
                Ok(Json::Array(entries))
            }
            Some('"') => self.string(),
            _ => self.word(),
        }
    }

    /// Skips a value that is nested too deeply, and keeps its text.
    fn skip(&mut self) -> Result<Json, String> {
        self.skip_white_space();
        let start = self.at;
        let mut open = Vec::new();
        loop {
            match self.text[self.at..].chars().next().ok_or("the end is missing")? {
                '"' => drop(self.string()?),
                bracket @ ('[' | '{') => {
                    open.push(bracket);
                    self.at += 1;
                }
                bracket @ (']' | '}') if open.pop() == Some(if bracket == ']' { '[' } else { '{' }) => self.at += 1,
                ',' | ':' if !open.is_empty() => self.at += 1,
                ' ' | '\t' | '\n' | '\r' => self.at += 1,
                _ => drop(self.word()?),
            }
            if open.is_empty() {
                return Ok(Json::Raw(self.text[start..self.at].into()));
            }
        }
    }

    fn sequence(
        &mut self,
        open: char,
        close: char,
        mut one: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        self.expect(open)?;
        if self.takes(close) {
            return Ok(());
        }
        loop {
            one(self)?;
            if self.takes(close) {
                return Ok(());
            }
            self.expect(',')?;
        }
    }

    /// Reads `null`, `true`, `false` or a number.
    fn word(&mut self) -> Result<Json, String> {
        let rest = &self.text[self.at..];
        let length = rest.find([',', ']', '}', ' ', '\t', '\n', '\r', ':']).unwrap_or(rest.len());
        let word = &rest[..length];
        self.at += length;
        match word {
            "null" => Ok(Json::Null),
            "true" => Ok(Json::Bool(true)),
            "false" => Ok(Json::Bool(false)),
            number if is_number(number) => Ok(Json::Number(number.into())),
            other => Err(format!("{other:?} is no value")),
        }
    }

    fn string(&mut self) -> Result<Json, String> {
        let start = self.at;
        let mut characters = self.text[start..].char_indices().peekable();
        if characters.next().is_none_or(|(_, first)| first != '"') {
            return Err(format!("no text at {start}"));
        }
        let mut units: Vec<u16> = Vec::new();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.at = start + at + 1;
                    let raw = || Json::Raw(self.text[start..self.at].into());
                    return Ok(String::from_utf16(&units).map_or_else(|_| raw(), Json::Text));
                }
                '\0'..='\u{1f}' => return Err("a control character in a text".into()),
                '\\' => {
                    let (at, escaped) = characters.next().ok_or("the end of a text is missing")?;
                    units.push(match escaped {
                        '"' | '\\' | '/' => escaped as u16,
                        'b' => 8,
                        'f' => 12,
                        'n' => 10,
                        'r' => 13,
                        't' => 9,
                        'u' => {
                            let digits = self.text.get(start + at + 1..start + at + 5).ok_or("no four digits")?;
                            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                                return Err(format!("{digits:?} are no four digits"));
                            }
                            characters.nth(3);
                            u16::from_str_radix(digits, 16).unwrap()
                        }
                        other => return Err(format!("no escape: {other:?}")),
                    });
                }
                other => units.extend_from_slice(other.encode_utf16(&mut [0; 2])),
            }
        }
        Err("the end of a text is missing".into())
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.takes(wanted) { Ok(()) } else { Err(format!("no {wanted:?} at {}", self.at)) }
    }

    fn takes(&mut self, wanted: char) -> bool {
        self.skip_white_space();
        let found = self.text[self.at..].starts_with(wanted);
        self.at += if found { wanted.len_utf8() } else { 0 };
        found
    }

    fn skip_white_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }
}

/// Checks for `-? (0 | [1-9][0-9]*) (.[0-9]+)? ([eE][+-]?[0-9]+)?`.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

#[test]
fn json_is_read_by_the_letter() {
    let text = r#"{"a": [1, -2.5e+3, "\u00e9\ud83d\ude00\n", true, null], "b": {}}"#;
    let value = Json::read(text).unwrap();
    assert_eq!(value.written(), r#"{"a":[1,-2.5e+3,"é😀\n",true,null],"b":{}}"#);
    assert_eq!(value.get("a").unwrap().array().unwrap()[1].number(), Ok(-2500.0));
    for bad in [
        "",
        "{",
        "[1,]",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "01",
        "1.",
        ".5",
        "+1",
        "NaN",
        "\"\\x\"",
        "\"\t\"",
        "[1] 2",
        "'a'",
        "\u{a0}1",
        "{\"a\" 1}",
        "[1 2]",
        "nul",
        "\"\\u00e\"",
    ] {
        assert!(Json::read(bad).is_err(), "{bad}");
    }
    assert!(Json::read(&format!("{}{}", "[".repeat(128), "]".repeat(128))).is_ok());
    assert!(Json::read(&"[".repeat(100_000)).is_err());
    let lines = Json::read_array("[1,\n\n{},\n[2]]\n").unwrap();
    assert_eq!(lines.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3, 4]);
}
