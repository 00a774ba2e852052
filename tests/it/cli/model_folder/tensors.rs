//! Tensors of a weights file: every format of the same model gives the same logits, and tensors that would be
//! ignored or that are not finite are refused.

use preftune::lm::files::hugging_face::{CONFIG_FILE, WEIGHTS_FILE};
use preftune::lm::network::parameters;
use preftune::lm::network::parameters::NamedTensor;
use safetensors::tensor::Dtype;
use serde_json::{Value, json};

use super::{Folder, file, logits, model, renamed, stored, weights, with_tensor};
use crate::support::tiny;

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
    // `safetensors.torch.save_model` stores a shared matrix only once, under the first of its names.
    let once = renamed(|name| name.replace("transformer.wte.weight", "lm_head.weight"));
    assert_eq!(logits(&Folder::new().with_weights(&once).load().unwrap()), ours);
}

#[test]
fn an_output_head_of_its_own_is_no_token_embedding() {
    let once = renamed(|name| name.replace("transformer.wte.weight", "lm_head.weight"));
    let folder = Folder::new();
    let message = folder.with_weights(&once).with_config(&json!({"tie_word_embeddings": false})).refusal();
    assert!(message.contains("model.safetensors: no tensor wte.weight"), "{message}");
}

#[test]
fn an_output_head_of_its_own_is_read_if_the_configuration_says_so() {
    let embedding = weights()[0].clone();
    let mut other = embedding.values.clone();
    other[4321] += 1e-6;
    let folder = Folder::new();
    folder.with_weights(&with_tensor("lm_head.weight", &embedding.shape, other.clone()));
    for tied in [json!(null), json!(true)] {
        let message = folder.with_config(&json!({"tie_word_embeddings": tied})).refusal();
        assert!(message.contains("lm_head.weight is not the token embedding, but config.json says"), "{message}");
    }
    let model = folder.with_config(&json!({"tie_word_embeddings": false})).load().unwrap();
    let written = parameters::read(&model.transformer).unwrap();
    assert_eq!(written.iter().find(|weight| weight.name == "lm_head.weight").unwrap().values, other);

    let turned = Folder::new();
    turned.with_weights(&with_tensor("lm_head.weight", &[20, 300], embedding.values.clone()));
    let message = turned.with_config(&json!({"tie_word_embeddings": false})).refusal();
    assert!(message.contains("lm_head.weight has the shape [20, 300]"), "{message}");
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
        let message = folder.with_config(&json!({"n_layer": layers})).refusal();
        assert!(message.contains("layers") || message.contains("n_layer"), "{message}");
        assert!(message.contains(&layers.to_string()), "{message}");
    }
}

#[test]
fn tensors_that_would_be_left_out_are_named() {
    for (name, hint) in [
        ("transformer.h.0.attn.c_attn.lora_A.default.weight", "merge"),
        ("transformer.h.0.attn.c_attn.base_layer.weight", "merge"),
        ("transformer.h.1.crossattention.c_attn.weight", "encoder"),
        ("transformer.h.0.attn.rotary_emb.inv_freq", "language model"),
        ("score.weight", "classifier"),
        ("lm_head.bias", "language model"),
        ("transformer.wtt.weight", "language model"),
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
        assert!(
            message.contains(&format!("found transformer.ln_f.weight in {dtype}, but floats are needed")),
            "{message}"
        );
    }
}

#[test]
fn weights_of_another_kind_of_model_are_refused_with_what_was_found() {
    let weights = renamed(|name| name.replace("transformer.h.", "model.layers.").replace("transformer.", "model."));
    let message = Folder::new().with_weights(&weights).refusal();
    assert!(message.contains("no tensor transformer.h.0.ln_1.weight; found model."), "{message}");
    assert!(message.contains("others"), "{message}");
}
