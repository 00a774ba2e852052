//! The optimizer of both loops: Adam (Kingma and Ba, 2015) in the form TensorFlow has it.

use burn::optim::{AdaptiveMomentumState, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor};

use crate::config::AdamForm;
use crate::run::host_state::WithHostState;

/// Adam with β₁ 0.9 and β₂ 0.999.
#[derive(Debug, Clone)]
pub struct Adam {
    form: AdamForm,
    epsilon: f64,
}

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;

impl Adam {
    /// An optimizer for any module.
    pub fn optimizer(form: AdamForm, epsilon: f64) -> ModuleOptimizer {
        WithHostState(Self { form, epsilon }).into()
    }

    /// Step size and the epsilon beside `√v` that give this form after `time` steps.
    fn scales(&self, rate: f64, time: usize) -> (f64, f64) {
        let time = i32::try_from(time).unwrap_or(i32::MAX);
        let root = (1.0 - BETA_2.powi(time)).sqrt();
        let step_size = rate * root / (1.0 - BETA_1.powi(time));
        match self.form {
            AdamForm::TensorFlow => (step_size, self.epsilon),
            AdamForm::PyTorch => (step_size, self.epsilon * root),
        }
    }
}

impl Optimizer for Adam {
    type State<const D: usize> = AdaptiveMomentumState<D>;

    fn step<const D: usize>(
        &self,
        rate: f64,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdaptiveMomentumState<D>>,
    ) -> (Tensor<D>, Option<AdaptiveMomentumState<D>>) {
        let squared = gradient.clone() * gradient.clone() * (1.0 - BETA_2);
        let gradient = gradient * (1.0 - BETA_1);
        let state = match state {
            None => AdaptiveMomentumState::new(1, gradient, squared),
            Some(state) => AdaptiveMomentumState::new(
                state.time + 1,
                state.moment_1 * BETA_1 + gradient,
                state.moment_2 * BETA_2 + squared,
            ),
        };
        let (step_size, epsilon) = self.scales(rate, state.time);
        let direction = state.moment_1.clone() / (state.moment_2.clone().sqrt() + epsilon);
        (parameter - direction * step_size, Some(state))
    }

    fn to_device<const D: usize>(state: AdaptiveMomentumState<D>, device: &Device) -> AdaptiveMomentumState<D> {
        state.to_device(device)
    }
}
