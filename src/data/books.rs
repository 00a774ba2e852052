//! Plain-text books for next-token training.
//!
//! Books as they are published carry licences, hard line breaks and layout; a model would learn
//! to write those too.

use super::without_byte_order_mark;

/// Widths of hard-wrapped prose, in characters. Narrower lines were broken by the author (verse, title pages),
/// wider ones by nobody.
const HARD_WRAP_COLUMNS: std::ops::RangeInclusive<usize> = 50..=120;

/// Beginnings of the paragraph that names who prepared a Project Gutenberg text.
const PRODUCTION_CREDITS: [&str; 9] = [
    "produced by",
    "transcribed by",
    "transcribed from",
    "prepared by",
    "e-text prepared by",
    "etext prepared by",
    "this etext was",
    "this ebook was produced",
    "html version by",
];

/// Reduces a book to its own words.
///
/// Byte order mark, carriage returns, the Project Gutenberg header and footer, indentation and repeated spaces
/// are removed. The lines of a hard-wrapped paragraph are joined by one space. Paragraphs are separated by one
/// blank line (`"\n\n"`), and there is no blank line at either end. Lines that were not broken for their width
/// (verse, lists, one paragraph a line) stay lines.
pub fn clean(text: &str) -> String {
    let text = without_byte_order_mark(text).replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<String> = text.lines().map(single_spaced).collect();
    let (body, has_header) = without_gutenberg_frame(&lines);
    let mut paragraphs: Vec<String> =
        body.split(|line| line.is_empty()).filter(|block| !block.is_empty()).map(join_hard_wraps).collect();
    if has_header {
        let credits = paragraphs.iter().take_while(|paragraph| is_production_credit(paragraph)).count();
        paragraphs.drain(..credits);
    }
    paragraphs.join("\n\n")
}

/// Splits a cleaned book into the part to train on and the last `fraction` (0 to 1, by bytes), which is held out.
///
/// The split moves forward to the start of a paragraph, or to the next character if the held-out part would
/// lose more than half of its text. The two parts together are the whole text.
pub fn split_held_out(text: &str, fraction: f64) -> (&str, &str) {
    let held_out_bytes = (text.len() as f64 * fraction.clamp(0.0, 1.0)) as usize;
    let earliest = text.ceil_char_boundary(text.len() - held_out_bytes);
    // The search starts two bytes early, so that a split that is at the start of a paragraph already stays there.
    let search_from = text.floor_char_boundary(earliest.saturating_sub(2));
    let paragraph_start = text
        .get(search_from..)
        .and_then(|rest| rest.find("\n\n"))
        .map(|offset| search_from + offset + 2)
        .filter(|&start| start >= earliest && text.len() - start >= held_out_bytes / 2);
    // Both lie on character boundaries, so this cannot panic.
    text.split_at(paragraph_start.unwrap_or(earliest))
}

fn single_spaced(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the lines between the header and the footer, and whether there was a header.
fn without_gutenberg_frame(lines: &[String]) -> (&[String], bool) {
    let footer = lines.iter().position(|line| is_footer(line));
    let lines = lines.get(..footer.unwrap_or(lines.len())).unwrap_or(lines);
    let Some(header) = lines.iter().rposition(|line| is_header_end(line)) else {
        return (lines, false);
    };
    // A long title wraps, and the header's last line is then the one that closes the asterisks.
    let body = lines
        .iter()
        .enumerate()
        .skip(header)
        .take(4)
        .find(|(_, line)| line.ends_with('*'))
        .map_or(header + 1, |(last, _)| last + 1);
    (lines.get(body..).unwrap_or_default(), true)
}

/// Checks whether a line is `*** START OF THE/THIS PROJECT GUTENBERG EBOOK …`, or the end of the small print
/// that stood at the head of texts before about 2004.
fn is_header_end(line: &str) -> bool {
    let words = line.trim_start_matches(['*', ' ']).to_lowercase();
    line.starts_with('*')
        && (words.starts_with("start of th") && words.contains("project gutenberg")
            || words.starts_with("end*the small print")
            || words.starts_with("end the small print"))
}

/// Checks whether a line is `*** END OF THE/THIS PROJECT GUTENBERG EBOOK …`, or the older `End of (the) Project
/// Gutenberg's …`, which may come a few lines earlier in the same file.
fn is_footer(line: &str) -> bool {
    let words = line.trim_start_matches(['*', ' ']).to_lowercase();
    words.starts_with("end of ") && words.contains("project gutenberg")
}

fn is_production_credit(paragraph: &str) -> bool {
    let words = paragraph.to_lowercase();
    PRODUCTION_CREDITS.iter().any(|beginning| words.starts_with(beginning))
}

/// Joins the lines of a paragraph to one if they were broken for their width, else keeps them.
fn join_hard_wraps(block: &[String]) -> String {
    block.join(if is_hard_wrapped(block) { " " } else { "\n" })
}

/// Checks whether the lines of a paragraph were broken for their width: at a break, the next word would not
/// have fitted. Later corrections leave wrapped texts ragged, so a tenth of the width and up to half of the
/// breaks may differ.
fn is_hard_wrapped(block: &[String]) -> bool {
    let length = |text: &str| text.chars().count();
    let columns = block.iter().map(|line| length(line)).max().unwrap_or(0);
    let for_width = block
        .iter()
        .zip(block.iter().skip(1))
        .filter(|(line, next)| {
            let word = next.split(' ').next().unwrap_or("");
            length(line) + 1 + length(word) > columns - columns / 10
        })
        .count();
    HARD_WRAP_COLUMNS.contains(&columns) && 2 * for_width >= block.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUTENBERG: &str = "\u{feff}Title: Emma\r\n\r\n\
        *** START OF THIS PROJECT GUTENBERG EBOOK A VERY\r\nLONG TITLE ***\r\n\r\n\r\n\
        Produced by An Anonymous\r\nVolunteer\r\n\r\n\r\n\
        CHAPTER I\r\n\r\n\
        Emma Woodhouse, handsome, clever, and rich, with a comfortable home\r\n\
        and happy disposition, seemed to unite some of the best blessings of\r\n\
        existence.  She was the youngest.\r\n\r\n\r\n\r\n\
        \x20 Twinkle, twinkle, little bat!\r\n\
        \x20   How I wonder what you're at!\r\n\r\n\
        End of the Project Gutenberg EBook of Emma, by Jane Austen\r\n\r\n\
        *** END OF THIS PROJECT GUTENBERG EBOOK EMMA ***\r\nLicence\r\n";

    #[test]
    fn a_gutenberg_book_keeps_only_its_own_words() {
        let expected = "CHAPTER I\n\n\
            Emma Woodhouse, handsome, clever, and rich, with a comfortable home \
            and happy disposition, seemed to unite some of the best blessings of \
            existence. She was the youngest.\n\n\
            Twinkle, twinkle, little bat!\nHow I wonder what you're at!";
        assert_eq!(clean(GUTENBERG), expected);
    }

    #[test]
    fn newer_and_older_frames_are_recognised() {
        let framed = [
            "*** START OF THE PROJECT GUTENBERG EBOOK EMMA ***\nText.\n*** END OF THE PROJECT GUTENBERG EBOOK EMMA ***\n",
            "***START OF THE PROJECT GUTENBERG EBOOK EMMA***\nText.\n***END OF THE PROJECT GUTENBERG EBOOK EMMA***\n",
            "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\nText.\nEnd of Project Gutenberg's Emma\n",
            "*** START OF THIS PROJECT GUTENBERG EBOOK EMMA ***\nText.\nEnd of The Project Gutenberg Etext of Emma\n",
        ];
        for text in framed {
            assert_eq!(clean(text), "Text.", "{text}");
        }
    }

    #[test]
    fn text_without_hard_wraps_is_unchanged() {
        let paragraphs = "One paragraph that is rather long and therefore wider than any page \
            on which a book was ever printed, and goes on to say more.\n\nAnother.";
        let one_a_line = "The rain had stopped before the coach came down into the valley.\n\
            He laughed.\nNobody in the inn had expected a guest at that hour of the night.\n\
            She put the letter away.\nThe dog got up.";
        assert_eq!(clean(paragraphs), paragraphs);
        assert_eq!(clean(one_a_line), one_a_line);
        assert_eq!(clean(&clean(GUTENBERG)), clean(GUTENBERG));
        assert_eq!(clean(""), "");
        assert_eq!(clean("Produced by hand."), "Produced by hand.");
    }

    #[test]
    fn the_held_out_part_starts_at_a_paragraph() {
        let text = format!("{}\n\n{}\n\nshort end", "a".repeat(80), "b".repeat(20));
        let (train, held_out) = split_held_out(&text, 0.3);
        assert_eq!(train.len(), 82);
        assert!(held_out.starts_with('b') && held_out.ends_with("end"));
    }

    #[test]
    fn without_a_paragraph_the_cut_falls_between_characters() {
        let text = "é".repeat(50);
        let (train, held_out) = split_held_out(&text, 0.05);
        assert_eq!((train.len(), held_out.len()), (96, 4));
        assert_eq!(split_held_out(&text, 0.0), (text.as_str(), ""));
        assert_eq!(split_held_out(&text, 1.0), ("", text.as_str()));
        assert_eq!(split_held_out("", 0.5), ("", ""));
    }
}
