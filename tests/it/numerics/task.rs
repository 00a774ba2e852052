//! Queries and responses in tokens of a model whose tokenizer puts a space before text.

use std::path::Path;

use preftune::config;
use preftune::data::LeftOut;
use preftune::lm::{LanguageModel, Tokenizer};
use preftune::task::Task;

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
