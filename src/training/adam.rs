//! The optimizer of reward and policy training: Adam (Kingma and Ba, 2015), in the form of TensorFlow or of
//! PyTorch.

use burn::optim::{AdaptiveMomentumState, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor};

use super::host_state::WithHostState;
use crate::config::AdamForm;
use crate::lm::kernels::{AdamScales, BETA_1, BETA_2, adam};

/// Adam with β₁ 0.9 and β₂ 0.999.
#[derive(Debug, Clone)]
pub struct Adam {
    form: AdamForm,
    epsilon: f64,
}

impl Adam {
    /// Creates an optimizer for any module.
    pub fn optimizer(form: AdamForm, epsilon: f64) -> ModuleOptimizer {
        WithHostState(Self { form, epsilon }).into()
    }

    /// Returns the step size and ε of step `time`, counted from 1, in this form of Adam.
    fn scales(&self, rate: f64, time: usize) -> AdamScales {
        let time = i32::try_from(time).unwrap_or(i32::MAX);
        let root = (1.0 - BETA_2.powi(time)).sqrt();
        let step_size = rate * root / (1.0 - BETA_1.powi(time));
        let epsilon = match self.form {
            AdamForm::TensorFlow => self.epsilon,
            AdamForm::PyTorch => self.epsilon * root,
        };
        AdamScales { step_size, epsilon }
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
        let (time, moments) = match state {
            None => (1, [gradient.zeros_like(), gradient.zeros_like()]),
            Some(state) => (state.time + 1, [state.moment_1, state.moment_2]),
        };
        let (parameter, [first, second]) = adam(parameter, gradient, moments, self.scales(rate, time));
        (parameter, Some(AdaptiveMomentumState::new(time, first, second)))
    }

    fn to_device<const D: usize>(state: AdaptiveMomentumState<D>, device: &Device) -> AdaptiveMomentumState<D> {
        state.to_device(device)
    }
}
