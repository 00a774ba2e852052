//! `heads.safetensors` beside a model.

use preftune::lm::Precision;
use preftune::lm::files::hugging_face::HEADS_FILE;
use preftune::lm::files::tensor_file::write_safetensors;
use preftune::lm::network::parameters::NamedTensor;

use super::{Folder, of_any_numbers, refused};
use crate::support::tiny;

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
            folder.write(HEADS_FILE, of_any_numbers(&broken));
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
            assert!(message(&longer).contains(&format!("{} has the shape [", head.name)), "{}", message(&longer));
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
