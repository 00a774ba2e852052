//! Comparisons in the original's format, made from text: each query is a passage as the original selects them,
//! its samples are other passages, and the sentiment classifier chooses.

use preftune::data::openai::{PADDING, PickBest};
use preftune::data::queries::queries_from_book;
use preftune::labels::{Labeler, SimulatedLabeler};
use preftune::lm::Tokenizer;
use preftune::random::{Stream, below, generator};
use preftune::task::Truncation;
use preftune::{Error, Result};

const PERIOD: u32 = 13;
const QUERY_LENGTH: usize = 64;
const SAMPLE_LENGTH: usize = 24;
const TRUNCATION: Truncation = Truncation { token: PERIOD, after: 16, end_tokens: Vec::new() };

/// Number of comparisons of which one repeats the query before it, as in the original's files.
const REPEATED: usize = 8;

pub fn generate(texts: &[String], tokenizer: &Tokenizer, count: usize, seed: u64) -> Result<Vec<PickBest>> {
    let book: Vec<u32> = texts.iter().map(|text| tokenizer.encode(text)).collect::<Result<Vec<_>>>()?.concat();
    if book.len() < 1000 {
        return Err(Error::usage("there is too little text", "give at least a few pages"));
    }
    let mut labeler = SimulatedLabeler::shipped()?;
    let mut rng = generator(seed, Stream::Data, 0, 0);
    let mut labels: Vec<PickBest> = Vec::with_capacity(count);
    while labels.len() < count {
        let start = below(book.len() - QUERY_LENGTH - SAMPLE_LENGTH, &mut rng);
        let query = match labels.last() {
            Some(last) if labels.len() % REPEATED == REPEATED - 1 => last.query.clone(),
            _ => match queries_from_book(&book, PERIOD, QUERY_LENGTH, &[start]).pop() {
                Some(query) => padded(query, QUERY_LENGTH),
                None => continue,
            },
        };
        let mut sample = || {
            let passage = &book[below(book.len() - SAMPLE_LENGTH, &mut rng)..][..SAMPLE_LENGTH];
            padded(TRUNCATION.text(passage).to_vec(), SAMPLE_LENGTH)
        };
        let samples = [sample(), sample(), sample(), sample()];
        let real = |ids: &Vec<u32>| ids.iter().copied().filter(|&id| id != PADDING).collect::<Vec<_>>();
        let texts = samples.iter().map(|ids| tokenizer.decode(&real(ids))).collect::<Result<Vec<_>>>()?;
        let best = labeler.judge("", &texts)?.best;
        let [sample0, sample1, sample2, sample3] = samples;
        labels.push(PickBest { query, sample0, sample1, sample2, sample3, best });
    }
    Ok(labels)
}

fn padded(mut ids: Vec<u32>, length: usize) -> Vec<u32> {
    ids.resize(length, PADDING);
    ids
}
