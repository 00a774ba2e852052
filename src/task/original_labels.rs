//! Label files of the original, which hold token ids of GPT-2, and text in the tokens of one model.

use std::io::BufRead;
use std::path::Path;

use crate::data::comparisons::Comparison;
use crate::data::entries::Entries;
use crate::data::openai::{GPT2_TOKENS, LabelReader, PADDING, PickBest, without_padding};
use crate::error::{Error, Result};
use crate::lm::files::{END_OF_TEXT, Tokenizer};

/// Reads a label file of the original, for a model whose tokens are GPT-2's.
///
/// # Errors
/// [`Error::Input`] for another tokenizer.
pub fn original_labels<R: BufRead>(entries: Entries<R>, tokenizer: &Tokenizer) -> Result<LabelReader<R>> {
    demand_gpt2(tokenizer, entries.path(), "this file holds token ids of GPT-2")?;
    Ok(LabelReader::new(entries))
}

/// Some of GPT-2's tokens. The first ones are bytes, which any byte-level BPE may have in the same places.
const OF_GPT2: [(u32, &str); 8] = [
    (13, "."),
    (198, "\n"),
    (256, " t"),
    (262, " the"),
    (290, " and"),
    (373, " was"),
    (464, "The"),
    (50_256, END_OF_TEXT),
];

fn demand_gpt2(tokenizer: &Tokenizer, path: &Path, what: &str) -> Result<()> {
    let (size, of_gpt2) = (tokenizer.vocab_size(), GPT2_TOKENS as usize);
    let differs = OF_GPT2.into_iter().find(|&(id, text)| tokenizer.token(text) != Some(id));
    let difference = match differs {
        _ if size != of_gpt2 => format!("it has {size} tokens, GPT-2's {of_gpt2}"),
        Some((id, text)) => match tokenizer.token(text) {
            Some(other) => format!("in it {text:?} is {other}, in GPT-2's {id}"),
            None => format!("it has no token {text:?}, GPT-2's {id}"),
        },
        None => return Ok(()),
    };
    Err(Error::input(
        path,
        format!("{what}, and the model has another tokenizer: {difference}"),
        "use a model with GPT-2's tokenizer, such as --model gpt2",
    ))
}

/// Returns the `number`th label of a file, from 1, as text, with the file's name and its number as id. The text
/// may encode to other tokens where the samples were not what the tokenizer makes of their text
/// ([`is_changed_as_text`]).
///
/// # Errors
/// The errors of [`Tokenizer::decode`].
pub fn label_to_comparison(label: &PickBest, number: usize, path: &Path, tokenizer: &Tokenizer) -> Result<Comparison> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let text = |ids: &[u32]| tokenizer.decode(&without_padding(ids));
    Ok(Comparison {
        id: format!("{name}:{number}"),
        query: text(&label.query)?,
        responses: label.samples().into_iter().map(text).collect::<Result<_>>()?,
        best: label.best,
        ..Comparison::default()
    })
}

/// Checks whether the text of the query or of a sample encodes to other tokens: some sampled tokens are not
/// those that the tokenizer makes of their text, and an incomplete character decodes to U+FFFD.
///
/// # Errors
/// [`Error::Failed`] when the tokenizer fails.
pub fn is_changed_as_text(label: &PickBest, tokenizer: &Tokenizer) -> Result<bool> {
    for ids in label.samples().into_iter().chain([label.query.as_slice()]) {
        let ids = without_padding(ids);
        if tokenizer.encode(&tokenizer.decode(&ids)?)? != ids {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Encoder of comparisons as the original's labels, one after the other: first each is measured, then each is
/// filled up to the longest query and the longest response of all.
pub struct LabelEncoder<'a> {
    tokenizer: &'a Tokenizer,
    /// Path that is named in errors.
    path: &'a Path,
    longest_query: usize,
    longest_sample: usize,
}

impl<'a> LabelEncoder<'a> {
    /// An encoder for the comparisons of one file.
    ///
    /// # Errors
    /// [`Error::Input`] for another tokenizer than GPT-2's.
    pub fn new(tokenizer: &'a Tokenizer, path: &'a Path) -> Result<Self> {
        demand_gpt2(tokenizer, path, "the original's labels are token ids of GPT-2")?;
        Ok(Self { tokenizer, path, longest_query: 0, longest_sample: 0 })
    }

    /// Notes the lengths of the `number`th comparison, from 1.
    ///
    /// # Errors
    /// [`Error::Input`] for another number of responses than four.
    pub fn measure(&mut self, number: usize, comparison: &Comparison) -> Result<()> {
        let label = self.tokens(number, comparison)?;
        self.longest_query = self.longest_query.max(label.query.len());
        let longest = label.samples().into_iter().map(<[u32]>::len).fold(self.longest_sample, usize::max);
        self.longest_sample = longest;
        Ok(())
    }

    /// Encodes the `number`th comparison, which was measured before.
    ///
    /// # Errors
    /// The errors of [`Self::measure`], and [`Error::Input`] for a comparison longer than any that was measured.
    pub fn encode(&self, number: usize, comparison: &Comparison) -> Result<PickBest> {
        let mut label = self.tokens(number, comparison)?;
        let longest_sample = label.samples().into_iter().map(<[u32]>::len).fold(0, usize::max);
        if label.query.len() > self.longest_query || longest_sample > self.longest_sample {
            let what = format!("comparison {number} was changed while the file was read");
            return Err(Error::input(self.path, what, "export again when nothing else writes to it"));
        }
        label.query.resize(self.longest_query, PADDING);
        for sample in [&mut label.sample0, &mut label.sample1, &mut label.sample2, &mut label.sample3] {
            sample.resize(self.longest_sample, PADDING);
        }
        Ok(label)
    }

    fn tokens(&self, number: usize, comparison: &Comparison) -> Result<PickBest> {
        let [one, two, three, four] = comparison.responses.as_slice() else {
            let what = format!("comparison {number} has {} responses", comparison.responses.len());
            return Err(Error::input(self.path, what, "the original's format is the best of four"));
        };
        Ok(PickBest {
            query: self.tokenizer.encode(&comparison.query)?,
            sample0: self.tokenizer.encode(one)?,
            sample1: self.tokenizer.encode(two)?,
            sample2: self.tokenizer.encode(three)?,
            sample3: self.tokenizer.encode(four)?,
            best: comparison.best,
        })
    }
}
