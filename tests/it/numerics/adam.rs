//! Both forms of Adam, compared with their formulas in f64, one number at a time.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use preftune::config::AdamForm;
use preftune::lm::ScalarHead;
use preftune::training::Adam;

use crate::numerics::devices;

const EPSILON: f64 = 1e-5;
const START: [f32; 4] = [0.5, -0.25, 0.0, 1.0];

/// Returns the gradient of step `t`, counted from 1. Its values lie around epsilon, where the two forms
/// differ most.
fn gradient(t: i32) -> [f32; 4] {
    let sign = if t % 3 == 0 { -1.0 } else { 1.0 };
    [1e-5 * sign, 3e-4, 0.02 * sign * t as f32, 1e-6 / t as f32]
}

fn learning_rate(t: i32) -> f64 {
    0.01 * (1.0 - 0.05 * f64::from(t))
}

/// Trains a head whose output is `gradient · weight + bias`, so that `gradient` is its weight's gradient, and
/// returns the weight.
fn trained(form: AdamForm, steps: i32, device: &Device) -> Vec<f32> {
    let mut head = ScalarHead::new(START.to_vec(), 0.0, device).train();
    let mut optimizer = Adam::optimizer(form, EPSILON);
    for t in 1..=steps {
        let row = Tensor::from_data(TensorData::new(gradient(t).to_vec(), [1, START.len()]), device);
        let gradients = GradientsParams::from_grads(head.forward(row).sum().backward(), &head);
        head = optimizer.step(learning_rate(t), head, gradients);
    }
    head.read("head").unwrap().remove(0).values
}

/// Computes a step as `tf.train.AdamOptimizer` documents it.
fn tensorflow(w: f64, m: f64, v: f64, t: i32) -> f64 {
    let rate = learning_rate(t) * (1.0 - 0.999_f64.powi(t)).sqrt() / (1.0 - 0.9_f64.powi(t));
    w - rate * m / (v.sqrt() + EPSILON)
}

/// Computes a step as `torch.optim.Adam` documents it.
fn pytorch(w: f64, m: f64, v: f64, t: i32) -> f64 {
    let (m, v) = (m / (1.0 - 0.9_f64.powi(t)), v / (1.0 - 0.999_f64.powi(t)));
    w - learning_rate(t) * m / (v.sqrt() + EPSILON)
}

fn written_out(step: fn(f64, f64, f64, i32) -> f64, steps: i32) -> Vec<f64> {
    let number = |index: usize| {
        let (mut w, mut m, mut v) = (f64::from(START[index]), 0.0, 0.0);
        for t in 1..=steps {
            let g = f64::from(gradient(t)[index]);
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            w = step(w, m, v, t);
        }
        w
    };
    (0..START.len()).map(number).collect()
}

#[test]
fn tensorflow_form_adds_epsilon_to_the_uncorrected_root() {
    for steps in [1, 2, 12] {
        for device in [devices::ndarray(), devices::flex()] {
            let found = trained(AdamForm::TensorFlow, steps, &device);
            let difference = crate::support::tiny::largest_difference(&found, &written_out(tensorflow, steps));
            assert!(difference < 1e-6, "{difference:e} after {steps} steps on {device:?}");
        }
    }
}

#[test]
fn pytorch_form_adds_epsilon_to_the_corrected_root() {
    for steps in [1, 2, 12] {
        for device in [devices::ndarray(), devices::flex()] {
            let found = trained(AdamForm::PyTorch, steps, &device);
            let difference = crate::support::tiny::largest_difference(&found, &written_out(pytorch, steps));
            assert!(difference < 1e-6, "{difference:e} after {steps} steps on {device:?}");
        }
    }
}

#[test]
fn the_two_forms_differ_in_the_first_steps() {
    let device = devices::flex();
    let (a, b) = (trained(AdamForm::TensorFlow, 1, &device), trained(AdamForm::PyTorch, 1, &device));
    let moved = |weights: &[f32]| f64::from((weights[0] - START[0]).abs());
    assert!(moved(&b) > 10.0 * moved(&a), "{} and {}", moved(&b), moved(&a));
}
