//! A model's folder as others write it: read to the right result, or refused by name.

use std::fs;
use std::path::Path;

use preftune::lm::hugging_face::{CONFIG_FILE, HEADS_FILE, TOKENIZER_FILE, WEIGHTS_FILE, WEIGHTS_INDEX_FILE};
use preftune::lm::parameters::{self, NamedTensor};
use preftune::lm::tensor_file::write_safetensors;
use preftune::lm::{
    ConfigFile, LanguageModel, ModelConfig, ModelFiles, Precision, TokenBatch, Tokenizer, model_folder,
};
use preftune::policy::Policy;
use preftune::reward::RewardModel;
use preftune::{Error, Result};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};

use crate::{devices, tiny};

/// The folder of a small model, in which one thing after another can be changed.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, bytes) in model().to_files(Precision::F32).unwrap() {
            folder.write(&name, bytes);
        }
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path().join(name), bytes).unwrap();
        self
    }

    fn remove(&self, name: &str) -> &Self {
        fs::remove_file(self.path().join(name)).unwrap();
        self
    }

    fn config(&self) -> Map<String, Value> {
        serde_json::from_slice(&fs::read(self.path().join(CONFIG_FILE)).unwrap()).unwrap()
    }

    /// Sets fields of `config.json`; those of null are taken out.
    fn with_config(&self, changes: &Value) -> &Self {
        let mut config = self.config();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(config.remove(name)),
                value => drop(config.insert(name.clone(), value.clone())),
            }
        }
        self.write(CONFIG_FILE, serde_json::to_vec(&config).unwrap())
    }

    fn with_weights(&self, weights: &[NamedTensor]) -> &Self {
        self.write(WEIGHTS_FILE, write_safetensors(weights, Precision::F32).unwrap())
    }

    /// Two parts and their index.
    fn with_parts(&self, weights: &[NamedTensor], index: impl Fn(&str) -> Option<String>) -> &Self {
        let (first, second) = weights.split_at(9);
        self.remove(WEIGHTS_FILE).write("1.safetensors", write_safetensors(first, Precision::F32).unwrap());
        self.write("2.safetensors", write_safetensors(second, Precision::F32).unwrap());
        let names = weights.iter().filter_map(|weight| Some((weight.name.clone(), json!(index(&weight.name)?))));
        let index = json!({"metadata": {"total_size": 1}, "weight_map": names.collect::<Map<_, _>>()});
        self.write(WEIGHTS_INDEX_FILE, index.to_string())
    }

    fn load(&self) -> Result<LanguageModel> {
        model_folder::with_files(self.path(), |files| LanguageModel::load(files, &devices::ndarray()))
    }

    fn load_reward_model(&self) -> Result<RewardModel> {
        let load = |files: ModelFiles<'_>| RewardModel::load(files, &devices::ndarray());
        Ok(model_folder::with_files(self.path(), load)?.0)
    }

    /// The message of a refusal, which is of a bad input and says what to do.
    fn refusal(&self) -> String {
        refused(self.load().map(drop))
    }

    /// What is written for the loaded model.
    fn written(&self) -> Vec<(String, Vec<u8>)> {
        self.load().unwrap().to_files(Precision::F32).unwrap()
    }
}

fn refused(result: Result<()>) -> String {
    let error: Error = result.unwrap_err();
    assert_eq!(error.exit_code(), 4, "{error}");
    assert!(!error.hint().is_empty(), "{error}");
    error.to_string()
}

fn model() -> LanguageModel {
    tiny::language_model(1, &devices::ndarray())
}

fn weights() -> Vec<NamedTensor> {
    parameters::read(&model().transformer).unwrap()
}

/// Behind the model's own weights: one more.
fn with_tensor(name: &str, shape: &[usize], values: Vec<f32>) -> Vec<NamedTensor> {
    let mut weights = weights();
    weights.push(NamedTensor { name: name.into(), shape: shape.into(), values });
    weights
}

fn renamed(rename: impl Fn(&str) -> String) -> Vec<NamedTensor> {
    let mut weights = weights();
    weights.iter_mut().for_each(|weight| weight.name = rename(&weight.name));
    weights
}

fn logits(model: &LanguageModel) -> Vec<f32> {
    let rows = tiny::rows(&model.config, &[5, 11, 2], 4);
    let config = &model.config;
    let batch = TokenBatch::new(&rows, config.pad_token(), config.vocab_size, config.n_positions).unwrap();
    let hidden = model.transformer.hidden(batch.tokens(&devices::ndarray())).flatten(0, 1);
    preftune::device::read_floats(model.transformer.logits(hidden)).unwrap()
}

fn file<'a>(files: &'a [(String, Vec<u8>)], name: &str) -> &'a [u8] {
    &files.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name}")).1
}

/// Numbers in any type, as another program stores them.
fn stored(tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
    let view = |(name, dtype, shape, bytes): &(&str, Dtype, Vec<usize>, Vec<u8>)| {
        (name.to_string(), TensorView::new(*dtype, shape.clone(), bytes.clone().leak()).unwrap())
    };
    safetensors::serialize(tensors.iter().map(view), None).unwrap()
}

// What is read.

#[test]
fn every_form_in_which_the_same_model_is_saved_gives_the_same_logits() {
    let ours = logits(&model());
    let same = |folder: &Folder| assert_eq!(logits(&folder.load().unwrap()), ours);

    let part_of =
        |name: &str| Some(format!("{}.safetensors", 1 + usize::from(!weights()[..9].iter().any(|w| w.name == name))));
    let folder = Folder::new();
    same(folder.with_parts(&weights(), part_of));

    for prefix in ["_orig_mod.", "module.", "module._orig_mod.", "_orig_mod.module."] {
        same(Folder::new().with_weights(&renamed(|name| format!("{prefix}{name}"))));
        same(Folder::new().with_weights(&renamed(|name| format!("{prefix}{}", name.replace("transformer.", "")))));
    }

    let bytes = |weight: &NamedTensor| weight.values.iter().flat_map(|&x| f64::from(x).to_le_bytes()).collect();
    let weights = weights();
    let of_64_bits: Vec<_> = weights.iter().map(|w| (w.name.as_str(), Dtype::F64, w.shape.clone(), bytes(w))).collect();
    same(Folder::new().write(WEIGHTS_FILE, stored(&of_64_bits)));

    let general = json!({
        "n_embd": null, "n_layer": null, "n_head": null, "n_positions": null,
        "hidden_size": 20, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 40
    });
    same(Folder::new().with_config(&general));
    same(Folder::new().with_config(&json!({"n_positions": null, "n_ctx": 40})));
    same(Folder::new().with_config(&json!({"n_ctx": 40, "hidden_size": 20})));
}

#[test]
fn an_output_head_that_is_the_token_embedding_is_no_other_head() {
    let ours = logits(&model());
    let embedding = weights()[0].clone();
    assert_eq!(embedding.name, "transformer.wte.weight");
    let twice = with_tensor("lm_head.weight", &embedding.shape, embedding.values.clone());
    for tied in [json!(null), json!(true), json!(false)] {
        let folder = Folder::new();
        folder.with_weights(&twice).with_config(&json!({"tie_word_embeddings": tied}));
        assert_eq!(logits(&folder.load().unwrap()), ours);
        let config: Value = serde_json::from_slice(file(&folder.written(), CONFIG_FILE)).unwrap();
        assert_ne!(config["tie_word_embeddings"], json!(false), "what is written has one matrix for both");
    }
    // As `safetensors.torch.save_model` stores a shared matrix: under the first of its names.
    let once = renamed(|name| name.replace("transformer.wte.weight", "lm_head.weight"));
    assert_eq!(logits(&Folder::new().with_weights(&once).load().unwrap()), ours);
}

#[test]
fn an_output_head_of_its_own_is_refused_by_name() {
    let embedding = weights()[0].clone();
    let mut other = embedding.values.clone();
    other[4321] += 1e-6;
    for (shape, values) in [(embedding.shape.clone(), other), (vec![20, 300], embedding.values.clone())] {
        let folder = Folder::new();
        folder.with_weights(&with_tensor("lm_head.weight", &shape, values));
        for tied in [json!(null), json!(true), json!(false)] {
            let message = folder.with_config(&json!({"tie_word_embeddings": tied})).refusal();
            assert!(message.contains("lm_head.weight is not the token embedding"), "{message}");
        }
    }
    let folder = Folder::new();
    let message = folder.with_config(&json!({"tie_word_embeddings": false})).refusal();
    assert!(message.contains("no tensor lm_head.weight") && message.contains("tie_word_embeddings"), "{message}");
}

#[test]
fn masks_and_value_heads_beside_the_network_are_left_out() {
    let ours = logits(&model());
    let weights = weights();
    let bytes = |weight: &NamedTensor| weight.values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut all: Vec<_> = weights.iter().map(|w| (w.name.as_str(), Dtype::F32, w.shape.clone(), bytes(w))).collect();
    all.push(("transformer.h.0.attn.bias", Dtype::BOOL, vec![1, 1, 40, 40], vec![1; 1600]));
    all.push(("transformer.h.1.attn.bias", Dtype::U8, vec![1, 1, 40, 40], vec![1; 1600]));
    all.push(("transformer.h.1.attn.masked_bias", Dtype::F32, vec![], (-1e4_f32).to_le_bytes().into()));
    all.push(("v_head.summary.weight", Dtype::F32, vec![1, 20], vec![0; 80]));
    assert_eq!(logits(&Folder::new().write(WEIGHTS_FILE, stored(&all)).load().unwrap()), ours);
}

// What is refused: weights.

#[test]
fn a_weight_that_is_not_finite_is_refused_with_file_tensor_and_index() {
    for (name, index, place) in [
        ("transformer.wte.weight", 0, "0 ([0, 0])"),
        ("transformer.ln_f.weight", 3, "3"),
        ("transformer.h.1.mlp.c_proj.weight", 47, "47 ([2, 7])"),
        ("transformer.ln_f.bias", 19, "19"),
    ] {
        for (value, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (f32::NEG_INFINITY, "-inf")] {
            let weights = tiny::changed(&weights(), name, |values| values[index] = value);
            let message = Folder::new().with_weights(&weights).refusal();
            assert!(message.contains("model.safetensors: "), "{message}");
            assert!(message.ends_with(&format!("{name} holds {shown} at index {place}")), "{message}");
        }
    }
}

#[test]
fn layers_are_counted_before_anything_is_built() {
    for layers in [1_u64, 3, 100_000_000, 4_294_967_295, u64::MAX] {
        let folder = Folder::new();
        let began = std::time::Instant::now();
        let message = folder.with_config(&json!({"n_layer": layers})).refusal();
        assert!(message.contains("layers") || message.contains("n_layer"), "{message}");
        assert!(message.contains(&layers.to_string()), "{message}");
        assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());
    }
}

#[test]
fn tensors_that_would_be_left_out_are_named() {
    for (name, hint) in [
        ("transformer.h.0.attn.c_attn.lora_A.default.weight", "merge"),
        ("transformer.h.0.attn.c_attn.base_layer.weight", "merge"),
        ("transformer.h.1.crossattention.c_attn.weight", "encoder"),
        ("transformer.h.0.attn.rotary_emb.inv_freq", "GPT-2"),
        ("score.weight", "classifier"),
        ("lm_head.bias", "GPT-2"),
        ("transformer.wtt.weight", "GPT-2"),
    ] {
        let folder = Folder::new();
        let error = folder.with_weights(&with_tensor(name, &[2], vec![0.0; 2])).load().map(drop).unwrap_err();
        assert!(error.to_string().contains(name) && error.hint().contains(hint), "{error}: {}", error.hint());
        assert_eq!(error.exit_code(), 4);
    }
}

#[test]
fn a_tensor_under_two_of_its_names_is_refused() {
    for other in ["ln_f.weight", "_orig_mod.transformer.ln_f.weight", "module.ln_f.weight"] {
        let message = Folder::new().with_weights(&with_tensor(other, &[20], vec![0.0; 20])).refusal();
        assert!(message.contains("is there twice") && message.contains("transformer.ln_f.weight"), "{message}");
    }
}

#[test]
fn numbers_that_are_no_floats_are_refused_by_name_and_type() {
    let weights = weights();
    let bytes = |weight: &NamedTensor| weight.values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut all: Vec<_> = weights.iter().map(|w| (w.name.as_str(), Dtype::F32, w.shape.clone(), bytes(w))).collect();
    let place = all.iter().position(|(name, ..)| *name == "transformer.ln_f.weight").unwrap();
    for (dtype, bytes) in [(Dtype::I8, 20), (Dtype::I64, 160), (Dtype::F8_E4M3, 20)] {
        all[place] = ("transformer.ln_f.weight", dtype, vec![20], vec![0; bytes]);
        let message = Folder::new().write(WEIGHTS_FILE, stored(&all)).refusal();
        assert!(message.contains(&format!("found transformer.ln_f.weight in {dtype}, needed floats")), "{message}");
    }
}

#[test]
fn weights_of_another_kind_of_model_are_refused_with_what_was_found() {
    let weights = renamed(|name| name.replace("transformer.h.", "model.layers.").replace("transformer.", "model."));
    let message = Folder::new().with_weights(&weights).refusal();
    assert!(message.contains("no tensor wte.weight; found model."), "{message}");
    assert!(message.contains("others"), "{message}");
}

#[test]
fn parts_that_contradict_their_index_are_refused_by_name() {
    let weights = weights();
    let (first, second) = (weights[0].name.clone(), weights.last().unwrap().name.clone());
    let place = |name: &str| match weights[..9].iter().any(|weight| weight.name == name) {
        true => "1.safetensors".to_string(),
        false => "2.safetensors".to_string(),
    };
    let message = |change: &dyn Fn(&Folder), index: &dyn Fn(&str) -> Option<String>| {
        let folder = Folder::new();
        folder.with_parts(&weights, index);
        change(&folder);
        folder.refusal()
    };
    let moved = message(&|_| (), &|name| Some(if name == first { "2.safetensors".into() } else { place(name) }));
    assert!(moved.contains(&first) && moved.contains(".safetensors: "), "{moved}");
    let left_out = message(&|_| (), &|name| (name != second).then(|| place(name)));
    assert!(
        left_out.contains(&format!("2.safetensors: {second} is here, but the index does not say so")),
        "{left_out}"
    );
    let outside = message(&|_| (), &|name| Some(if name == first { "../1.safetensors".into() } else { place(name) }));
    assert!(outside.contains(&first) && outside.contains("../1.safetensors"), "{outside}");
    let missing = message(&|folder| drop(folder.remove("2.safetensors")), &|name| Some(place(name)));
    assert!(missing.contains("2.safetensors is not in this folder"), "{missing}");
    let cut = message(&|folder| drop(folder.write("2.safetensors", [0; 50])), &|name| Some(place(name)));
    assert!(cut.contains("2.safetensors: not a readable safetensors file"), "{cut}");
    let twice = |folder: &Folder| {
        let part = with_tensor(&first.replace("transformer.", ""), &weights[0].shape, weights[0].values.clone());
        folder.write("2.safetensors", write_safetensors(&part[9..], Precision::F32).unwrap());
        let index = fs::read_to_string(folder.path().join(WEIGHTS_INDEX_FILE)).unwrap();
        let other = format!("\"weight_map\":{{\"{}\":\"2.safetensors\",", first.replace("transformer.", ""));
        folder.write(WEIGHTS_INDEX_FILE, index.replace("\"weight_map\":{", &other));
    };
    let twice = message(&twice, &|name| Some(place(name)));
    assert!(twice.contains("is there twice") && twice.contains("1.safetensors"), "{twice}");
}

#[test]
fn a_folder_of_another_form_says_what_is_in_it_and_what_is_needed() {
    let adapter = Folder::new();
    let message = adapter.write("adapter_config.json", "{}").refusal();
    assert!(message.contains("found an adapter (adapter_config.json)"), "{message}");

    for name in ["pytorch_model.bin", "model.gguf", "tf_model.h5", "model-00001-of-00002.safetensors"] {
        let folder = Folder::new();
        let error = folder.remove(WEIGHTS_FILE).write(name, "x").load().map(drop).unwrap_err();
        assert!(error.to_string().ends_with(&format!("found {name}, needed model.safetensors")), "{error}");
        assert!(error.hint().contains("safe_serialization=True") && error.exit_code() == 4);
    }
    let message = Folder::new().remove(WEIGHTS_FILE).refusal();
    assert!(message.contains("nothing of a model is in this folder, needed model.safetensors"), "{message}");
    let message = Folder::new().remove(CONFIG_FILE).refusal();
    assert!(message.contains("found model.safetensors, needed config.json"), "{message}");
}

// config.json.

/// As in the folder of GPT-2 on the hub, but for its sizes.
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

#[test]
fn a_config_that_nothing_changes_is_written_again_byte_for_byte() {
    let folder = Folder::new();
    folder.write(CONFIG_FILE, PUBLISHED);
    assert_eq!(std::str::from_utf8(file(&folder.written(), CONFIG_FILE)).unwrap(), PUBLISHED);
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
fn companions_and_tokenizer_files_are_carried_over_as_they_came() {
    let folder = Folder::new();
    let tokenizer = fs::read(folder.path().join(TOKENIZER_FILE)).unwrap();
    let tokenizer = [tokenizer.as_slice(), b"\n\n"].concat();
    let companions = [
        ("generation_config.json", "{\"eos_token_id\": 299}\n"),
        ("tokenizer_config.json", "{ \"model_max_length\": 40 }"),
        ("special_tokens_map.json", "{}\n"),
    ];
    folder.write(TOKENIZER_FILE, &tokenizer);
    companions.iter().for_each(|(name, text)| drop(folder.write(name, text)));
    let files = folder.written();
    companions.iter().for_each(|(name, text)| assert_eq!(file(&files, name), text.as_bytes(), "{name}"));
    assert_eq!(file(&files, TOKENIZER_FILE), tokenizer);
    assert_eq!(files.len(), 6, "{:?}", files.iter().map(|(name, _)| name).collect::<Vec<_>>());

    // A reward model and a policy made of it keep them too.
    let model = folder.load().unwrap();
    let head = || tiny::head(&model.config, 2, &devices::ndarray());
    let reward_model = RewardModel::new(model.transformer.clone(), head()).to_files(&model).unwrap();
    let policy = Policy { transformer: model.transformer.clone(), value_head: head() }.to_files(&model).unwrap();
    for files in [reward_model, policy] {
        companions.iter().for_each(|(name, text)| assert_eq!(file(&files, name), text.as_bytes(), "{name}"));
        assert_eq!(files.len(), 7);
    }
}

/// A vocabulary in GPT-2's two files, in which the end of text comes last.
fn two_files() -> [(&'static str, Vec<u8>); 2] {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transformers/characters");
    ["vocab.json", "merges.txt"].map(|name| (name, fs::read(fixtures.join(name)).unwrap()))
}

#[test]
fn a_tokenizer_of_two_files_is_written_as_two_files() {
    let [(_, vocabulary), (_, merges)] = two_files();
    let vocab_size = serde_json::from_slice::<Map<String, Value>>(&vocabulary).unwrap().len();
    let paths = [Path::new("vocab.json"), Path::new("merges.txt")];
    let tokenizer = Tokenizer::from_vocabulary_and_merges((&vocabulary, paths[0]), (&merges, paths[1])).unwrap();
    let config = ModelConfig { vocab_size, ..model().config };
    let transformer = tiny::transformer(&config, 1, &devices::ndarray());
    let files = LanguageModel { config, transformer, tokenizer, origin: None }.to_files(Precision::F32).unwrap();

    // A new model states the ids of its own vocabulary.
    let stated: Value = serde_json::from_slice(file(&files, CONFIG_FILE)).unwrap();
    assert_eq!((&stated["bos_token_id"], &stated["eos_token_id"]), (&json!(vocab_size - 1), &json!(vocab_size - 1)));

    let folder = Folder(tempfile::tempdir().unwrap());
    files.iter().filter(|(name, _)| name != TOKENIZER_FILE).for_each(|(name, bytes)| drop(folder.write(name, bytes)));
    two_files().iter().for_each(|(name, bytes)| drop(folder.write(name, bytes)));
    let again = folder.written();
    two_files().iter().for_each(|(name, bytes)| assert_eq!(file(&again, name), bytes, "{name}"));
    assert!(!again.iter().any(|(name, _)| name == TOKENIZER_FILE));
}

#[test]
fn a_new_model_states_the_end_of_text_of_its_own_vocabulary() {
    let files = model().to_files(Precision::F32).unwrap();
    let config: Value = serde_json::from_slice(file(&files, CONFIG_FILE)).unwrap();
    assert_eq!((&config["bos_token_id"], &config["eos_token_id"]), (&json!(0), &json!(0)));
}

#[test]
fn fields_that_ask_for_something_else_or_are_not_known_are_refused_by_name() {
    for (field, value) in [
        ("model_type", json!("llama")),
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
    ] {
        let folder = Folder::new();
        let message = folder.with_config(&json!({field: value})).refusal();
        assert!(message.contains(field) && message.contains("config.json: "), "{field}: {message}");
        assert!(message.len() < 300, "{message}");
    }
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
    assert_eq!(read.config.layer_norm_epsilon.to_bits(), 1e-5_f64.to_bits());
}

// heads.safetensors.

fn reward_heads() -> Vec<NamedTensor> {
    let tensor = |name: &str, values: Vec<f32>| NamedTensor { name: name.into(), shape: vec![values.len()], values };
    vec![
        tensor("reward.weight", vec![0.5; 20]),
        tensor("reward.bias", vec![0.1]),
        tensor("reward.gain", vec![2.0]),
        tensor("reward.offset", vec![-1.0]),
    ]
}

fn value_heads() -> Vec<NamedTensor> {
    let heads = reward_heads().into_iter().take(2);
    heads.map(|head| NamedTensor { name: head.name.replace("reward", "value"), ..head }).collect()
}

#[test]
fn heads_with_a_number_that_is_not_finite_are_refused() {
    for heads in [reward_heads(), value_heads()] {
        for head in &heads {
            let folder = Folder::new();
            let last = head.values.len() - 1;
            let broken = tiny::changed(&heads, &head.name, |values| values[last] = f32::NAN);
            folder.write(HEADS_FILE, write_safetensors(&broken, Precision::F32).unwrap());
            for message in [folder.refusal(), refused(folder.load_reward_model().map(drop))] {
                let expected = format!("heads.safetensors: {} holds NaN at index {last}", head.name);
                assert!(message.ends_with(&expected), "{message}");
            }
        }
    }
}

#[test]
fn heads_that_lack_a_tensor_or_have_another_are_refused_by_name() {
    for heads in [reward_heads(), value_heads()] {
        let message = |heads: &[NamedTensor]| {
            Folder::new().write(HEADS_FILE, write_safetensors(heads, Precision::F32).unwrap()).refusal()
        };
        for (place, head) in heads.iter().enumerate() {
            let mut fewer = heads.clone();
            fewer.remove(place);
            assert!(message(&fewer).contains(&format!("no tensor {}", head.name)), "{}", message(&fewer));
            let longer = tiny::changed(&heads, &head.name, |values| values.push(0.0));
            let mut longer = longer;
            longer[place].shape = vec![longer[place].values.len()];
            assert!(message(&longer).contains(&format!("{} is [", head.name)), "{}", message(&longer));
        }
        let mut more = heads.clone();
        more.push(NamedTensor { name: "value.scale".into(), shape: vec![1], values: vec![1.0] });
        assert!(message(&more).contains("value.scale is no tensor of these heads"), "{}", message(&more));
    }
}

#[test]
fn a_folder_with_the_other_heads_or_none_is_no_reward_model_and_the_other_way_round() {
    let folder = Folder::new();
    assert!(refused(folder.load_reward_model().map(drop)).contains("heads.safetensors: no such file"));
    folder.write(HEADS_FILE, write_safetensors(&value_heads(), Precision::F32).unwrap());
    folder.load().unwrap();
    assert!(refused(folder.load_reward_model().map(drop)).contains("no tensor reward.weight"));
    folder.write(HEADS_FILE, write_safetensors(&reward_heads(), Precision::F32).unwrap());
    folder.load_reward_model().unwrap();
    assert!(folder.refusal().contains("this is a reward model"));
}
