//! Names of models on the Hugging Face hub, checked before they become parts of paths.

/// Short names of models, and the hub's present names for them.
const KNOWN: [(&str, &str); 10] = [
    ("gpt2", "openai-community/gpt2"),
    ("gpt2-medium", "openai-community/gpt2-medium"),
    ("gpt2-large", "openai-community/gpt2-large"),
    ("gpt2-xl", "openai-community/gpt2-xl"),
    ("distilgpt2", "distilbert/distilgpt2"),
    ("smollm2-135m", "HuggingFaceTB/SmolLM2-135M"),
    ("smollm2-360m", "HuggingFaceTB/SmolLM2-360M"),
    ("llama-3.2-1b", "meta-llama/Llama-3.2-1B"),
    ("qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B"),
    ("qwen3-0.6b", "Qwen/Qwen3-0.6B"),
];

/// The first of them had these names on the hub, too, before models had owners.
const WITH_LEGACY_NAMES: usize = 5;

/// A model on the hub at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HubName {
    /// Owner and name, as `OWNER/NAME`.
    pub(super) repository: String,
    /// A branch, a tag or a commit.
    pub(super) revision: String,
}

impl HubName {
    /// Reads `NAME` (of a known model) or `OWNER/NAME`, each with `@REVISION` or without.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, revision) = text.split_once('@').unwrap_or((text, "main"));
        let known = KNOWN.iter().find(|(short, _)| *short == name).map(|(_, full)| *full);
        let repository = known.unwrap_or(name);
        let (owner, rest) = repository.split_once('/')?;
        let valid = is_name(owner) && is_name(rest) && revision.split('/').all(is_part) && revision.len() <= 200;
        valid.then(|| Self { repository: repository.into(), revision: revision.into() })
    }

    /// Returns the hub's name for a known model from the time before models had owners.
    pub(super) fn legacy(&self) -> Option<&'static str> {
        KNOWN.iter().take(WITH_LEGACY_NAMES).find(|(_, full)| *full == self.repository).map(|(short, _)| *short)
    }

    /// Returns the short names of the known models.
    #[cfg(feature = "fetch")]
    pub(super) fn known() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|(short, _)| *short)
    }
}

/// Shows the revision only if it is not `main`.
impl std::fmt::Display for HubName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.revision.as_str() {
            "main" => f.write_str(&self.repository),
            revision => write!(f, "{}@{revision}", self.repository),
        }
    }
}

/// Checks a name by the hub's rule for owners and models.
fn is_name(text: &str) -> bool {
    let edges = [text.chars().next(), text.chars().last()];
    is_part(text) && text.len() <= 96 && !text.contains("--") && edges.iter().all(|&edge| edge != Some('-'))
}

/// Checks whether a text can be one part of a path: a file name that does not lead to another folder.
pub(super) fn is_part(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edge = |c: Option<char>| c.is_some_and(|c| c != '.');
    text.len() <= 128
        && text.chars().all(allowed)
        && edge(text.chars().next())
        && edge(text.chars().last())
        && !text.contains("..")
}

/// Checks whether a text is the name of a git commit.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_names_are_short() {
        let name = HubName::parse("gpt2").unwrap();
        assert_eq!((name.repository.as_str(), name.revision.as_str()), ("openai-community/gpt2", "main"));
        assert_eq!(name.legacy(), Some("gpt2"));
        assert_eq!(HubName::parse("openai-community/gpt2").unwrap(), name);
        assert_eq!(HubName::parse("distilgpt2@v1").unwrap().to_string(), "distilbert/distilgpt2@v1");
        assert_eq!(HubName::parse("someone/gpt2").unwrap().legacy(), None);
        let name = HubName::parse("qwen2.5-0.5b").unwrap();
        assert_eq!((name.repository.as_str(), name.legacy()), ("Qwen/Qwen2.5-0.5B", None));
    }

    #[test]
    fn a_revision_may_have_slashes() {
        assert_eq!(HubName::parse("a/b@refs/pr/1").unwrap().revision, "refs/pr/1");
    }

    #[test]
    fn names_that_lead_elsewhere_are_no_names() {
        let bad = ["", "gpt3", "a/b/c", "../a", "a/..", "/a", "a/", "a/b@", "a/b@../x", "a/b@x//y", "a/b@/x", "a--b/c"];
        for text in bad.into_iter().chain(["a\\b/c", "./runs", "runs/.x", "-a/b", "C:/x", "a/b@x@y", "a b/c"]) {
            assert_eq!(HubName::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_commit_is_forty_lower_case_hexadecimal_digits() {
        assert!(is_commit(&"0a".repeat(20)));
        for text in ["main", &"0A".repeat(20), &"0a".repeat(19), "../../../../../../../../../../../../../xx"] {
            assert!(!is_commit(text), "{text}");
        }
    }
}
