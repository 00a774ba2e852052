//! Queries and responses in tokens of models whose tokenizers put a space, a start token or a chat template around text.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use preftune::config;
use preftune::config::{Config, LongQueries};
use preftune::data::LeftOut;
use preftune::data::comparisons::Comparison;
use preftune::lm::{LanguageModel, MicroBatches, ModelConfig, Responses, Tokenizer, TokenizerFiles};
use preftune::platform::Interrupt;
use preftune::policy::Rollouts;
use preftune::reward::{encode_comparisons, split};
use preftune::task::{Queries, Scorer, Task, TextScorer};

use crate::numerics::devices;
use crate::support::tiny;

fn with_space_before(model: &LanguageModel) -> LanguageModel {
    let json = model.tokenizer.to_json().unwrap();
    let json = json.replacen("\"add_prefix_space\":false", "\"add_prefix_space\":true", 1);
    let tokenizer = Tokenizer::from_json(json.as_bytes(), Path::new("tokenizer.json")).unwrap();
    LanguageModel { tokenizer, ..model.clone() }
}

/// Earlier versions took " ." for the truncate token, which ends no sentence.
#[test]
fn a_query_gets_the_space_and_a_response_and_the_truncate_token_do_not() {
    let plain = tiny::language_model(1, &devices::flex());
    let spaced = with_space_before(&plain);
    let settings = config::Task {
        query_length_tokens: 16,
        truncate_after_tokens: 0,
        truncate_token: ".".into(),
        ..Default::default()
    };
    let [of_plain, of_spaced] = [&plain, &spaced].map(|model| Task::new(&settings, model).unwrap());
    assert_eq!(of_spaced.truncation, of_plain.truncation);
    for response in [" by the sea.", "Old.", "\n\nthe", "."] {
        let ids = of_spaced.encode_response(&spaced, response, &mut LeftOut::default()).unwrap();
        assert_eq!(ids, of_plain.encode_response(&plain, response, &mut LeftOut::default()).unwrap());
        assert_eq!(of_spaced.decode_response(&spaced, &ids).unwrap(), response);
    }
    let query = of_spaced.encode_query(&spaced, "the sea", &mut LeftOut::default()).unwrap();
    assert_eq!(query, of_plain.encode_query(&plain, " the sea", &mut LeftOut::default()).unwrap());
    assert!(of_spaced.encode_query(&spaced, "", &mut LeftOut::default()).is_err());
}

/// Returns a small model with the tokenizer, chat template and end tokens of a family.
fn of_family(family: &str) -> LanguageModel {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/families/tokenizers").join(family);
    let files = TokenizerFiles::found(|name| Ok(fs::read(folder.join(name)).ok())).unwrap();
    let (tokenizer, _) = files.read(&folder).unwrap();
    let config = ModelConfig { vocab_size: tokenizer.vocab_size(), positions: 512, ..tiny::llama() };
    LanguageModel { transformer: tiny::transformer(&config, 1, &devices::flex()), tokenizer, origin: None }
}

fn settings(chat: bool) -> config::Task {
    config::Task { chat, query_length_tokens: 16, truncate_after_tokens: 0, ..Default::default() }
}

fn encoded(task: &Task, model: &LanguageModel, query: &str) -> Vec<u32> {
    task.encode_query(model, query, &mut LeftOut::default()).unwrap()
}

/// Returns the texts that a scorer of texts gets for a response to a query.
fn scored_texts(model: &LanguageModel, task: &Task, query: &[u32], response: &[u32]) -> (String, String) {
    let seen = RefCell::new(Vec::new());
    let scorer = TextScorer::new(&model.tokenizer, |texts: &[(String, String)]| {
        seen.borrow_mut().extend_from_slice(texts);
        Ok(vec![0.0; texts.len()])
    });
    let rollouts = Rollouts { reference: model, scorer: &scorer, task: task.clone(), rows_at_once: 4 };
    rollouts.score(&[query.to_vec()], &[response.to_vec()], &Interrupt::new()).unwrap();
    seen.take().remove(0)
}

#[test]
fn a_scorer_of_texts_gets_neither_padding_nor_markup() {
    for family in ["llama3", "smollm2", "qwen2", "tinyllama"] {
        let model = of_family(family);
        let end = model.tokenizer.end_tokens()[0];
        let sea = model.tokenizer.encode(" The sea").unwrap();
        let period = model.tokenizer.token(".").unwrap();
        for chat in [false, true] {
            let task = Task::new(&settings(chat), &model).unwrap();
            let query = encoded(&task, &model, "Old.");
            let cut = [sea.as_slice(), &[period, sea[0], sea[0]]].concat();
            let (asked, response) = scored_texts(&model, &task, &query, &cut);
            assert_eq!((asked.as_str(), response.as_str()), ("Old.", " The sea."), "{family} {chat}");
            let ended = [sea.as_slice(), &[end, period, end]].concat();
            assert_eq!(scored_texts(&model, &task, &query, &ended).1, " The sea", "{family} {chat}");
        }
    }
}

/// Reward models are trained on texts, which have no end token.
#[test]
fn a_reward_model_reads_no_token_that_ends_a_response() {
    let model = of_family("llama3");
    let reward_model = tiny::reward_model(model.config(), 2, &devices::flex());
    let task = Task::new(&settings(false), &model).unwrap();
    let (end, query) = (model.tokenizer.end_tokens()[0], vec![encoded(&task, &model, "Old.")]);
    let text = task.encode_response(&model, " The sea", &mut LeftOut::default()).unwrap();
    let rollouts = Rollouts {
        reference: &model,
        scorer: &reward_model,
        // Responses that end in this way are valid where the end token is the truncate token.
        task: Task { truncation: preftune::task::Truncation { token: end, ..task.truncation.clone() }, ..task },
        rows_at_once: 4,
    };
    let sampled = vec![[text.as_slice(), &[end, 5, end]].concat()];
    let (scores, valid) = rollouts.score(&query, &sampled, &Interrupt::new()).unwrap();
    let of_text = Scorer::score(&reward_model, Responses::new(&query, &[text]), &MicroBatches::of(1)).unwrap();
    assert_eq!((scores, valid), (of_text.read().unwrap(), vec![true]));
}

#[test]
fn a_start_token_stands_before_the_prefix_of_a_query() {
    for family in ["llama3", "tinyllama"] {
        let model = of_family(family);
        let prefixed = config::Task { query_prefix: "Article:\n\n".into(), ..settings(false) };
        let task = Task::new(&prefixed, &model).unwrap();
        let query = encoded(&task, &model, "Old.");
        let (start, own) = query.split_at(model.tokenizer.start_tokens().len());
        assert_eq!(start, model.tokenizer.start_tokens());
        assert_eq!(task.context(&query), [start, &task.query_prefix, own].concat(), "{family}");
        let error = Task::new(&config::Task { chat: true, ..prefixed }, &model).unwrap_err();
        assert!(error.to_string().contains("task.query_prefix") && error.exit_code() == 2, "{error}");
    }
}

/// `train-policy --chat --queries books/` trained without the template.
#[test]
fn queries_in_tokens_are_wrapped_in_a_chat() {
    let model = of_family("llama3");
    let tokens = |chat: bool, queries: Queries| {
        queries.tokens(&model, &Task::new(&settings(chat), &model).unwrap(), &mut LeftOut::default()).unwrap()
    };
    let ids = tokens(false, Queries::Text(vec!["Old.".into()]));
    assert_eq!(tokens(false, Queries::Tokens(ids.clone())), ids);
    assert_eq!(tokens(true, Queries::Tokens(ids)), [model.tokenizer.encode_chat("Old.").unwrap()]);
}

#[test]
fn a_shortened_query_takes_no_more_room_in_a_chat_than_was_checked() {
    let model = of_family("llama3");
    let query = "\u{1f9ff}".repeat(120);
    for long_queries in [LongQueries::KeepStart, LongQueries::KeepEnd] {
        for query_length_tokens in [5, 14, 63, 179] {
            let settings = config::Task { query_length_tokens, long_queries, ..settings(true) };
            let task = Task::new(&settings, &model).unwrap();
            let mut left_out = LeftOut::default();
            let ids = task.encode_query(&model, &query, &mut left_out).unwrap();
            assert!(ids.len() <= task.around_text + query_length_tokens, "{} {query_length_tokens}", ids.len());
            assert!(left_out.queries_cut.to_tokens <= query_length_tokens && left_out.queries_cut.cut == 1);
        }
    }
}

/// White space in front of the text was no longer trimmed behind a start token, or in a template.
#[test]
fn queries_that_differ_in_white_space_behind_a_start_token_are_not_held_out() {
    let model = of_family("llama3");
    let comparison = |query: &str| Comparison {
        query: query.into(),
        responses: vec![" one.".into(), " two.".into()],
        ..Comparison::default()
    };
    for chat in [false, true] {
        let mut config = Config::default();
        config.task = config::Task { query_length_tokens: 1, long_queries: LongQueries::KeepEnd, ..settings(chat) };
        let task = Task::new(&config.task, &model).unwrap();
        // Of both, only the last token is left: " a", and "a".
        let comparisons = [comparison("One a"), comparison("Two\na")];
        let comparisons = encode_comparisons(&comparisons, &model, &task, &mut LeftOut::default()).unwrap();
        // The template trims them itself.
        assert_eq!(comparisons[0].query == comparisons[1].query, chat);
        let (train, held_out) = split(comparisons, &config, 1, &mut LeftOut::default());
        assert_eq!((train.len(), held_out.len()), (2, 0), "chat: {chat}");
    }
}
