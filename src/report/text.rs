//! Text from models and people, made safe and visible for a page.

use crate::sanitize::push_visible;

/// Escapes text for HTML and SVG, as content and inside a double-quoted attribute.
///
/// Newlines are shown as ⏎ and other control characters as their symbols. Characters that turn the reading
/// direction around or cannot be seen are shown as ⟨U+202E⟩, so that a response is seen as it is and cannot
/// rearrange the text beside it.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push('⏎'),
            _ => push_visible(&mut escaped, character),
        }
    }
    escaped
}

/// Escapes preformatted text as [`escape`] does, but keeps its lines.
pub(super) fn escape_lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

/// Formats a number for people, with about three significant digits and an exponent only where it helps.
pub(super) fn number(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() {
        return "missing".into();
    }
    if magnitude == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e6).contains(&magnitude) {
        return format!("{value:.2e}");
    }
    let decimals = match magnitude {
        100.0.. => 0,
        10.0.. => 1,
        0.1.. => 2,
        0.01.. => 3,
        _ => 4,
    };
    format!("{value:.decimals$}")
}

/// Formats a proportion in 0..=1 as a percentage with one decimal, or none if it is whole.
pub(super) fn percent(proportion: f64) -> String {
    let digits = format!("{:.1}", proportion * 100.0);
    format!("{}%", digits.strip_suffix(".0").unwrap_or(&digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(
            escape(r#"<script>alert('x' & "y")</script>"#),
            "&lt;script&gt;alert(&#39;x&#39; &amp; &quot;y&quot;)&lt;/script&gt;"
        );
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(escape("a\nb\tc\x1b[31m\0\x7f"), "a⏎b␉c␛[31m␀␡");
        assert_eq!(escape("safe\u{202e}txt.exe\u{200b}\u{85}"), "safe⟨U+202E⟩txt.exe⟨U+200B⟩⟨U+0085⟩");
        assert_eq!(escape("naïve 日本 👩\u{200d}🚀"), "naïve 日本 👩\u{200d}🚀");
    }

    #[test]
    fn preformatted_text_keeps_its_lines() {
        assert_eq!(escape_lines("a = 1\nb = \"<\"\n"), "a = 1\nb = &quot;&lt;&quot;");
    }

    #[test]
    fn numbers_have_three_significant_digits() {
        let cases = [
            (-0.0, "0"),
            (-0.001, "-0.0010"),
            (-1e-9, "-1.00e-9"),
            (0.15, "0.15"),
            (2.714, "2.71"),
            (-12.34, "-12.3"),
            (2_000_000.0, "2.00e6"),
            (1.41e-5, "1.41e-5"),
            (512.0, "512"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(f64::NAN), "missing");
    }
}
