//! Vocabularies and merges as JSON, read without loss: a token that is there twice is read twice.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::lm::files::messages::shown;

/// Largest number of tokens in a vocabulary: public models have up to 262,144.
const MOST_TOKENS: usize = 1 << 19;

/// Largest number of merges.
pub(super) const MOST_MERGES: usize = 1 << 20;

/// Tokens and their ids, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct TokenIds<'a>(pub Vec<(Cow<'a, str>, u32)>);

/// Pairs of tokens, each an array of two or a text with a space between.
#[derive(Debug)]
pub(super) struct MergeList<'a>(pub Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// A text of the file, borrowed where it holds no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

struct Merge<'a>(Cow<'a, str>, Cow<'a, str>);

struct TokenIdsVisitor;
struct MergeListVisitor;
struct MergeVisitor;

impl<'de: 'a, 'a> Deserialize<'de> for TokenIds<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TokenIdsVisitor)
    }
}

impl<'de> Visitor<'de> for TokenIdsVisitor {
    type Value = TokenIds<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tokens and their ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut tokens = Vec::new();
        while let Some(Text(token)) = map.next_key()? {
            let id = map.next_value().map_err(|error| A::Error::custom(format!("id of {}: {error}", shown(&token))))?;
            tokens.push((token, id));
            if tokens.len() > MOST_TOKENS {
                return Err(A::Error::custom(format!("there are more than {MOST_TOKENS} tokens")));
            }
        }
        Ok(TokenIds(tokens))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for MergeList<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(MergeListVisitor)
    }
}

impl<'de> Visitor<'de> for MergeListVisitor {
    type Value = MergeList<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of merges")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut merges = Vec::new();
        while let Some(Merge(left, right)) = list.next_element()? {
            merges.push((left, right));
            if merges.len() > MOST_MERGES {
                return Err(A::Error::custom(format!("there are more than {MOST_MERGES} merges")));
            }
        }
        Ok(MergeList(merges))
    }
}

impl<'de> Deserialize<'de> for Merge<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MergeVisitor)
    }
}

impl<'de> Visitor<'de> for MergeVisitor {
    type Value = Merge<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a merge: two tokens, as [\"a\", \"b\"] or \"a b\"")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        let (left, right) = halves(text).ok_or_else(|| not_a_merge(text))?;
        Ok(Merge(left.into(), right.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let (left, right) = halves(text).ok_or_else(|| not_a_merge(text))?;
        Ok(Merge(left.to_string().into(), right.to_string().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut next = || Ok(list.next_element::<Text<'de>>()?.map(|Text(text)| text));
        match [next()?, next()?, next()?] {
            [Some(left), Some(right), None] => Ok(Merge(left, right)),
            _ => Err(A::Error::custom("a merge is not of two tokens")),
        }
    }
}

/// Returns the two tokens of a merge that is written with a space between them.
pub(super) fn halves(text: &str) -> Option<(&str, &str)> {
    text.split_once(' ').filter(|(_, right)| !right.contains(' '))
}

fn not_a_merge<E: Error>(text: &str) -> E {
    E::custom(format!("not a merge of two tokens: {}", shown(text)))
}
