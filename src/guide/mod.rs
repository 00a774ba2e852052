//! The manual, one page a subject, as `preftune guide` prints it.

/// A page of the manual.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The name that `preftune guide` takes.
    pub name: &'static str,
    /// Markdown: a title, a sentence that says what the page is for, and the rest.
    pub text: &'static str,
}

impl Page {
    /// Returns the purpose of the page: its first sentence, without "This page".
    pub fn purpose(&self) -> &'static str {
        let mut lines = self.text.lines().filter(|line| !line.trim().is_empty());
        let sentence = lines.nth(1).unwrap_or_default();
        sentence.strip_prefix("This page ").unwrap_or(sentence)
    }
}

/// The text of a page, with a file behind it if there is one.
macro_rules! page {
    ($name:literal) => {
        include_str!(concat!($name, ".md"))
    };
    ($name:literal with $appendix:literal) => {
        concat!(include_str!(concat!($name, ".md")), "\n```toml\n", include_str!($appendix), "```\n")
    };
}

macro_rules! pages {
    ($($module:ident $name:literal $(with $appendix:literal)?,)*) => {
        /// All of them, in the order in which a newcomer may read them.
        pub const PAGES: &[Page] =
            &[$(Page { name: $name, text: page!($name $(with $appendix)?) }),*];
        $(
            #[doc = page!($name $(with $appendix)?)]
            pub mod $module {}
        )*
    };
}

pages! {
    stages "stages",
    labelling "labelling",
    rounds "rounds",
    judging "judging",
    own_model "own-model",
    gpt2 "gpt2",
    fetching "fetching",
    settings "settings" with "../config/defaults.toml",
    metrics "metrics",
    devices "devices",
    memory "memory",
    reliability "reliability",
    original "original",
    library "library",
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_page_that_is_written_is_in_the_manual_and_says_what_it_is_for() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide");
        let written = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let written: BTreeSet<String> = written.filter_map(|name| name.strip_suffix(".md").map(String::from)).collect();
        let shown: BTreeSet<String> = PAGES.iter().map(|page| page.name.to_string()).collect();
        assert_eq!(shown, written);
        for page in PAGES {
            assert!(page.text.starts_with("# "), "{}", page.name);
            assert!(page.purpose().ends_with('.') && !page.purpose().starts_with('#'), "{}", page.name);
        }
    }
}
