//! The instructions that tell people what to choose.

use std::path::Path;

use crate::error::{Error, Result};
use crate::platform::files;

/// Returns the instructions for labelers that ship with the program, by name: `sentiment` and `descriptiveness` are the
/// paper's two styles.
pub fn instructions(name: &str) -> Option<&'static str> {
    match name {
        "sentiment" => Some(include_str!("../../datasets/instructions/sentiment.txt")),
        "descriptiveness" => Some(include_str!("../../datasets/instructions/descriptiveness.txt")),
        _ => None,
    }
}

/// Largest size of the instructions, in bytes: more than anybody reads.
const LARGEST_INSTRUCTIONS_BYTES: u64 = 1 << 20;

/// Returns the instructions that ship under this name, or those of the file with this name.
///
/// # Errors
/// [`Error::File`] and [`Error::Input`] for a file that cannot be read, or that is empty.
pub fn read_instructions(name: &Path) -> Result<String> {
    let shipped = name.to_str().and_then(instructions);
    let text =
        shipped.map_or_else(|| files::read_short_text(name, LARGEST_INSTRUCTIONS_BYTES), |text| Ok(text.into()))?;
    match text.trim() {
        "" => Err(Error::input(name, "no instructions", "write what people are to choose")),
        _ => Ok(text),
    }
}
