//! Heads that map each hidden state to one number: the value head, and the reward model's head.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};

use super::parameters::{NamedTensor, normal};
use crate::device::Readback;
use crate::error::Result;

/// A linear map from `d_model` to one number.
#[derive(Module, Debug)]
pub struct ScalarHead {
    /// `[d_model, 1]`
    weight: Param<Tensor<2>>,
    /// `[1]`
    bias: Param<Tensor<1>>,
}

impl ScalarHead {
    /// Creates a head from its weight and bias.
    pub fn new(weight: Vec<f32>, bias: f32, device: &Device) -> Self {
        let width = weight.len();
        Self {
            weight: Param::from_data(TensorData::new(weight, [width, 1]), device),
            bias: Param::from_data(TensorData::new(vec![bias], [1]), device),
        }
    }

    /// Creates an initial value head: zero everywhere (`policy.py`, scale 0).
    pub fn zeros(width: usize, device: &Device) -> Self {
        Self::new(vec![0.0; width], 0.0, device)
    }

    /// Creates an initial reward head: normal weight with standard deviation 1/√(d_model + 1), bias 0
    /// (`rewards.py`).
    pub fn draw(width: usize, seed: u64, device: &Device) -> Self {
        // Smaller rows of the random numbers are those of the transformer's weights.
        const ROW: u64 = u64::MAX;
        Self::new(normal(width, 1.0 / ((width + 1) as f32).sqrt(), seed, ROW), 0.0, device)
    }

    /// Maps `[rows, d_model]` to `[rows]`.
    pub fn forward(&self, hidden: Tensor<2>) -> Tensor<1> {
        let [rows, _] = hidden.dims();
        hidden.matmul(self.weight.val()).reshape([rows]) + self.bias.val()
    }

    /// Reads back the weight `[d_model]` and the bias `[1]`, named `NAME.weight` and `NAME.bias`.
    ///
    /// # Errors
    /// [`crate::Error::Device`] when the device fails.
    pub fn read(&self, name: &str) -> Result<Vec<NamedTensor>> {
        let values = Readback::default().with(self.weight.val()).with(self.bias.val()).floats()?;
        let parts = ["weight", "bias"].iter().zip(values);
        Ok(parts
            .map(|(part, values)| NamedTensor { name: format!("{name}.{part}"), shape: vec![values.len()], values })
            .collect())
    }
}
