//! `config.json`: only known fields are accepted, and the file is written again as it was.

use std::fs;
use std::path::Path;

use preftune::lm::files::hugging_face::CONFIG_FILE;
use preftune::lm::{ConfigFile, Precision};
use serde_json::{Value, json};

use super::{Folder, file, logits, model};

/// `config.json` of GPT-2 on the hub, with other sizes.
const PUBLISHED: &str = r#"{
  "activation_function": "gelu_new",
  "architectures": ["GPT2LMHeadModel"],
  "attn_pdrop": 0.1,
  "bos_token_id": 299,
  "embd_pdrop": 0.1,
  "eos_token_id": 299,
  "initializer_range": 0.02,
  "layer_norm_epsilon": 1e-05,
  "model_type": "gpt2",
  "n_ctx": 40,
  "n_embd": 20,
  "n_head": 2,
  "n_layer": 2,
  "n_positions": 40,
  "resid_pdrop": 0.1,
  "summary_activation": null,
  "summary_first_dropout": 0.1,
  "summary_proj_to_labels": true,
  "summary_type": "cls_index",
  "summary_use_proj": true,
  "task_specific_params": {"text-generation": {"do_sample": true, "max_length": 50}},
  "vocab_size": 300
}"#;

/// `config.json` of GPT-2 medium on the hub, with other sizes.
const PUBLISHED_MEDIUM: &str = r#"{
  "activation_function": "gelu_new",
  "architectures": [
    "GPT2LMHeadModel"
  ],
  "attn_pdrop": 0.1,
  "bos_token_id": 299,
  "embd_pdrop": 0.1,
  "eos_token_id": 299,
  "initializer_range": 0.02,
  "layer_norm_epsilon": 1e-05,
  "model_type": "gpt2",
  "n_ctx": 40,
  "n_embd": 20,
  "n_head": 2,
  "n_layer": 2,
  "n_positions": 40,
  "n_special": 0,
  "predict_special_tokens": true,
  "resid_pdrop": 0.1,
  "summary_activation": null,
  "summary_first_dropout": 0.1,
  "summary_proj_to_labels": true,
  "summary_type": "cls_index",
  "summary_use_proj": true,
  "task_specific_params": {
    "text-generation": {
      "do_sample": true,
      "max_length": 50
    }
  },
  "vocab_size": 300
}"#;

#[test]
fn a_config_that_nothing_changes_is_written_again_byte_for_byte() {
    for published in [PUBLISHED, PUBLISHED_MEDIUM] {
        let folder = Folder::new();
        folder.write(CONFIG_FILE, published);
        assert_eq!(std::str::from_utf8(file(&folder.written(), CONFIG_FILE)).unwrap(), published);
    }
}

#[test]
fn fields_that_change_are_right_and_all_others_stay_in_their_order() {
    let folder = Folder::new();
    let config = PUBLISHED.replace(r#""GPT2LMHeadModel""#, r#""GPT2Model""#);
    let config = config.replace("\"vocab_size\": 300", "\"vocab_size\": 300,\n  \"torch_dtype\": \"bfloat16\"");
    folder.write(CONFIG_FILE, config);
    let model = folder.load().unwrap();
    for (precision, dtype) in [(Precision::F32, "float32"), (Precision::F16, "float16")] {
        let files = model.to_files(precision).unwrap();
        let written = std::str::from_utf8(file(&files, CONFIG_FILE)).unwrap();
        let lines: Vec<_> =
            written.lines().filter(|line| !line.contains("architectures") && line.contains(':')).collect();
        let expected: Vec<_> =
            PUBLISHED.lines().filter(|line| !line.contains("architectures") && line.contains(':')).collect();
        let trimmed =
            |lines: &[&str]| lines.iter().map(|line| line.trim_end_matches(',').to_string()).collect::<Vec<_>>();
        let (lines, mut expected) = (trimmed(&lines), trimmed(&expected));
        expected.push(format!("  \"torch_dtype\": \"{dtype}\""));
        assert_eq!(lines, expected);
        let value: Value = serde_json::from_str(written).unwrap();
        assert_eq!(value["architectures"], json!(["GPT2LMHeadModel"]));
    }
}

#[test]
fn fields_that_ask_for_something_else_or_are_not_known_are_refused_by_name() {
    for (field, value) in [
        ("model_type", json!("gemma3")),
        ("architectures", json!(["GPT2ForSequenceClassification"])),
        ("architectures", json!("GPT2LMHeadModel")),
        ("activation_function", json!("relu")),
        ("activation_function", json!("gelu")),
        ("activation_function", json!(7)),
        ("hidden_act", json!("silu")),
        ("n_inner", json!(40)),
        ("n_inner", json!("80")),
        ("intermediate_size", json!(100)),
        ("head_dim", json!(5)),
        ("scale_attn_weights", json!(false)),
        ("scale_attn_by_inverse_layer_idx", json!(true)),
        ("add_cross_attention", json!(true)),
        ("is_encoder_decoder", json!(true)),
        ("tie_encoder_decoder", json!(true)),
        ("cross_attention_hidden_size", json!(20)),
        ("tie_word_embeddings", json!("no")),
        ("position_embedding_type", json!("alibi")),
        ("pruned_heads", json!({"0": [1]})),
        ("quantization_config", json!({"quant_method": "gptq", "bits": 4})),
        ("auto_map", json!({"AutoModelForCausalLM": "modeling.Own"})),
        ("per_layer_config", json!({"0": {"n_inner": 40}})),
        ("resid_pdrop", json!(1.5)),
        ("attn_pdrop", json!("0.1")),
        ("layer_norm_eps", json!(1e-12)),
        ("rope_theta", json!(10000.0)),
        ("sliding_window", json!(16)),
        ("embedding_multiplier", json!(false)),
        ("parallel_blocks", json!("x".repeat(500))),
        ("layer_types", json!(["full_attention", "sliding_attention"])),
        ("bias", json!(false)),
        ("custom_attention", json!(true)),
    ] {
        let folder = Folder::new();
        let message = folder.with_config(&json!({field: value})).refusal();
        assert!(message.contains(field) && message.contains("config.json: "), "{field}: {message}");
        assert!(message.len() < 300, "{message}");
    }
}

#[test]
fn a_fault_that_is_found_before_the_weights_are_read_names_the_file_too() {
    let folder = Folder::new();
    folder.with_config(&json!({"n_head": 3}));
    let error = preftune::models::size(folder.path()).unwrap_err();
    assert!(error.to_string().contains("config.json: n_embd 20 is not a multiple of n_head 3"), "{error}");
}

#[test]
fn fields_that_change_nothing_are_read() {
    let known = json!({
        "_name_or_path": "gpt2", "_num_labels": 1, "_commit_hash": "a1", "_attn_implementation_autoset": true,
        "gradient_checkpointing": true, "use_cache": false, "n_ctx": 40, "n_inner": 80, "reorder_and_upcast_attn": true,
        "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}, "num_labels": 1, "problem_type": "regression",
        "torch_dtype": "float16", "dtype": "float16", "transformers_version": "5.23.0", "tokenizer_class": "GPT2Tokenizer",
        "bos_token_id": 50256, "eos_token_id": [1, 2], "pad_token_id": 5, "is_decoder": true, "pruned_heads": {},
        "task_specific_params": {"text-generation": {"max_length": 50}}, "summary_type": "mean", "do_sample": true,
        "temperature": 0.7, "top_k": 5, "max_length": 99, "add_cross_attention": false, "output_past": true,
        "activation_function": "gelu_pytorch_tanh", "resid_pdrop": 0.3, "initializer_range": 1.0, "predict_special_tokens": true,
        "architectures": ["GPT2Model"], "chunk_size_feed_forward": 0, "finetuning_task": "x", "head_dim": 10
    });
    let folder = Folder::new();
    let model = folder.with_config(&known).load().unwrap();
    assert_eq!(logits(&model), logits(&self::model()));
    let nothing = PUBLISHED.replacen('{', "{\"quantization_config\": null, \"rope_scaling\": null, ", 1);
    Folder::new().write(CONFIG_FILE, nothing).load().unwrap();
}

/// Returns fields besides the sizes, as other programs write them when they save a GPT-2.
fn as_saved_by_others() -> Vec<(&'static str, Value)> {
    let of_gpt2 = json!({
        "attn_pdrop": 0.1, "embd_pdrop": 0.1, "resid_pdrop": 0.1, "initializer_range": 0.02, "n_ctx": 40,
        "summary_activation": null, "summary_first_dropout": 0.1, "summary_proj_to_labels": true,
        "summary_type": "cls_index", "summary_use_proj": true
    });
    let with = |more: Value| {
        let mut fields = of_gpt2.as_object().unwrap().clone();
        fields.extend(more.as_object().unwrap().clone());
        Value::from(fields)
    };
    let generation = json!({"text-generation": {"do_sample": true, "max_length": 50}});
    vec![
        ("gpt2-large", with(json!({"task_specific_params": generation}))),
        ("gpt2-xl", with(json!({"output_past": true, "task_specific_params": generation}))),
        (
            "distilgpt2",
            with(json!({
                "_num_labels": 1, "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0},
                "task_specific_params": generation
            })),
        ),
        ("DialoGPT-medium", with(json!({"task_specific_params": {"conversational": {"max_length": 1000}}}))),
        (
            "rugpt3large_based_on_gpt2",
            with(json!({
                "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "gradient_checkpointing": false,
                "id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}, "n_inner": null, "n_special": 0,
                "output_past": true, "predict_special_tokens": true, "use_cache": true
            })),
        ),
        (
            "pytorch-transformers 1",
            with(json!({
                "finetuning_task": null, "is_decoder": false, "n_special": 0, "num_labels": 1, "output_past": true,
                "output_attentions": false, "output_hidden_states": false, "predict_special_tokens": true,
                "pruned_heads": {}, "torchscript": false, "use_bfloat16": false, "vocab_size_or_config_json_file": 300,
                "pretrained_config_archive_map": {"gpt2": "gpt2-config.json"}
            })),
        ),
        (
            "transformers 2",
            with(json!({
                "bos_token_id": 0, "do_sample": false, "eos_token_ids": [0], "finetuning_task": null,
                "is_decoder": false, "length_penalty": 1.0, "max_length": 20, "num_beams": 1, "num_labels": 2,
                "id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1},
                "num_return_sequences": 1, "output_attentions": false, "output_hidden_states": false,
                "output_past": true, "pad_token_id": 0, "pruned_heads": {}, "repetition_penalty": 1.0,
                "temperature": 1.0, "top_k": 50, "top_p": 1.0, "torchscript": false, "use_bfloat16": false
            })),
        ),
        ("transformers 2 with one id", with(json!({"eos_token_ids": 0, "xla_device": null}))),
        (
            "transformers 3",
            with(json!({
                "gradient_checkpointing": false, "return_dict": true, "xla_device": true, "use_cache": true,
                "early_stopping": false, "no_repeat_ngram_size": 0, "bad_words_ids": null, "min_length": 0,
                "decoder_start_token_id": null, "chunk_size_feed_forward": 0, "tie_word_embeddings": true
            })),
        ),
        (
            "transformers 4",
            with(json!({
                "_name_or_path": "openai-community/gpt2", "_commit_hash": "607a30d783", "n_inner": null,
                "_attn_implementation_autoset": true, "reorder_and_upcast_attn": true, "torch_dtype": "bfloat16",
                "scale_attn_by_inverse_layer_idx": false, "scale_attn_weights": true, "use_cache": false,
                "transformers_version": "4.44.0", "add_cross_attention": false, "is_encoder_decoder": false,
                "custom_pipelines": {"pair": {"impl": "pair.PairPipeline"}}, "loss_type": "ForCausalLM",
                "forced_decoder_ids": null, "penalty_alpha": 0.6, "max_time": 2.5, "stop_strings": ["."]
            })),
        ),
        (
            "transformers 5",
            with(json!({
                "dtype": "float32", "transformers_version": "5.0.0", "layer_types": ["full_attention", "full_attention"],
                "add_cross_attention": false, "tie_word_embeddings": true, "pad_token_id": null,
                "attn_implementation": "sdpa", "experts_implementation": "eager", "pruned_heads": {},
                "output_attentions": false, "problem_type": null, "cross_attention_hidden_size": null
            })),
        ),
        ("nanoGPT", json!({"block_size": 40, "bias": true, "dropout": 0.0, "activation_function": "gelu_new"})),
        (
            "TRL",
            with(json!({
                "architectures": ["AutoModelForCausalLMWithValueHead"], "summary_dropout_prob": 0.1,
                "v_head_init_strategy": "normal", "v_head_initializer_range": 0.2
            })),
        ),
        ("unsloth", with(json!({"unsloth_fixed": true, "unsloth_version": "2025.1", "model_max_length": 40}))),
        ("optimum", with(json!({"optimum_version": "1.20.0", "transformers.js_config": {"dtype": "fp32"}}))),
    ]
}

#[test]
fn models_of_the_hub_are_read_as_each_program_saved_them() {
    let expected = logits(&model());
    for (program, fields) in as_saved_by_others() {
        let folder = Folder::new();
        // These files hold fields of null, which must stay.
        let mut config = folder.config();
        config.extend(fields.as_object().unwrap().clone());
        let read = folder.write(CONFIG_FILE, serde_json::to_vec(&config).unwrap()).load();
        let read = read.unwrap_or_else(|error| panic!("{program}: {error}"));
        assert_eq!(logits(&read), expected, "{program}");
    }
}

#[test]
fn sizes_that_are_none_or_contradict_each_other_are_refused_by_name() {
    for field in ["vocab_size", "n_positions", "n_embd", "n_layer", "n_head"] {
        for value in
            [json!(0), json!(-1), json!(2.0), json!("2"), json!([2]), json!(true), json!(1e30), json!(u64::MAX)]
        {
            let folder = Folder::new();
            let message = folder.with_config(&json!({field: value})).refusal();
            assert!(message.contains(&format!("{field} is ")), "{field} {value}: {message}");
        }
        let message = Folder::new().with_config(&json!({field: null})).refusal();
        assert!(message.contains(&format!("the field {field}")) && message.contains("missing"), "{message}");
        let null = Folder::new();
        let text = String::from_utf8(fs::read(null.path().join(CONFIG_FILE)).unwrap()).unwrap();
        let (before, after) = text.split_once(&format!("\"{field}\": ")).unwrap();
        let after = after.trim_start_matches(char::is_numeric);
        let message = null.write(CONFIG_FILE, format!("{before}\"{field}\": null{after}")).refusal();
        assert!(message.contains(&format!("{field} is null")), "{message}");
    }
    for (field, other) in
        [("n_embd", "hidden_size"), ("n_layer", "num_hidden_layers"), ("n_head", "num_attention_heads")]
    {
        let message = Folder::new().with_config(&json!({other: 7})).refusal();
        assert!(message.contains(field) && message.contains(other), "{message}");
    }
    for other in ["max_position_embeddings", "n_ctx"] {
        let message = Folder::new().with_config(&json!({other: 41})).refusal();
        assert!(message.contains("n_positions is 40") && message.contains(&format!("{other}, ")), "{message}");
    }
    let message = Folder::new().with_config(&json!({"n_head": 3})).refusal();
    assert!(message.contains("n_embd 20 is not a multiple of n_head 3"), "{message}");
    let twice = PUBLISHED.replacen('{', "{\"n_head\": 4,", 1);
    let message = Folder::new().write(CONFIG_FILE, twice).refusal();
    assert!(message.contains("\"n_head\" is there twice"), "{message}");
}

#[test]
fn an_epsilon_that_is_no_small_number_is_refused() {
    for value in ["-1", "0", "-0.0", "1e300", "1e-300", "1e999", "\"1e-5\"", "null", "true"] {
        let config = PUBLISHED.replace("1e-05", value);
        let message = Folder::new().write(CONFIG_FILE, config).refusal();
        assert!(message.contains("layer_norm_epsilon is "), "{value}: {message}");
    }
    let config = PUBLISHED.replace("  \"layer_norm_epsilon\": 1e-05,\n", "");
    let read = ConfigFile::read(config.as_bytes(), Path::new(CONFIG_FILE)).unwrap();
    assert_eq!(read.config.norm_epsilon.to_bits(), 1e-5_f64.to_bits());
}
