//! Weights in several shards, and folders that hold a model in another format.

use std::fs;

use preftune::lm::Precision;
use preftune::lm::files::hugging_face::{CONFIG_FILE, WEIGHTS_FILE, WEIGHTS_INDEX_FILE};
use preftune::lm::files::model_folder;
use preftune::lm::files::tensor_file::write_safetensors;

use super::{Folder, weights, with_tensor};

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
    let missing = message(&|folder| _ = folder.remove("2.safetensors"), &|name| Some(place(name)));
    assert!(missing.contains("2.safetensors is not in this folder"), "{missing}");
    let cut = message(&|folder| _ = folder.write("2.safetensors", [0; 50]), &|name| Some(place(name)));
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
        assert!(error.to_string().ends_with(&format!("found {name}, but model.safetensors is needed")), "{error}");
        assert!(error.hint().contains("safe_serialization=True") && error.exit_code() == 4);
    }
    let message = Folder::new().remove(WEIGHTS_FILE).refusal();
    assert!(message.contains("nothing of a model is in this folder, but model.safetensors is needed"), "{message}");
    let message = Folder::new().remove(CONFIG_FILE).refusal();
    assert!(message.contains("found model.safetensors, but config.json is needed"), "{message}");
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_or_cannot_be_followed_does_not_count_as_an_absent_file() {
    use std::os::unix::fs::symlink;

    let optional = ["tokenizer_config.json", "added_tokens.json", "generation_config.json", "heads.safetensors"];
    for name in optional.into_iter().chain([CONFIG_FILE, WEIGHTS_FILE]) {
        let folder = Folder::new();
        let link = folder.path().join(name);
        let _ = fs::remove_file(&link);
        symlink(folder.path().join("blobs/gone"), &link).unwrap();
        let message = folder.refusal();
        assert!(message.contains(name) && message.contains("link to a file that is not there"), "{message}");

        fs::remove_file(&link).unwrap();
        symlink(&link, &link).unwrap();
        let error = folder.load().unwrap_err();
        assert!(error.to_string().contains(name), "{error}");

        // A link to the file is read as the file.
        fs::remove_file(&link).unwrap();
        if [CONFIG_FILE, WEIGHTS_FILE].contains(&name) {
            let elsewhere = Folder::new();
            symlink(elsewhere.path().join(name), &link).unwrap();
            folder.load().unwrap();
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let message = super::refused(model_folder::with_files(file.path(), |_| Ok(())));
    assert!(message.contains("config.json is needed"), "{message}");
}
