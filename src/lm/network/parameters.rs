//! Weights by their names in Hugging Face's files: initialization, loading and reading back.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use rand_chacha::rand_core::Rng;

use super::config::ModelConfig;
pub use super::stored_tensors::NamedTensor;
use super::stored_tensors::{StoredTensor, join, split};
use super::transformer::Transformer;
use crate::device::Readback;
use crate::error::Result;
use crate::random::{Stream, generator};

/// Replaces every weight of `model` by the numbers that `values` returns for its name and shape in files.
///
/// # Errors
/// The first error of `values`.
pub fn replace(model: Transformer, mut values: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>) -> Result<Transformer> {
    let config = model.config().clone();
    let mut mapper = Replace { config: &config, path: Vec::new(), values: &mut values, error: Ok(()) };
    let model = model.map(&mut mapper);
    mapper.error.map(|()| model)
}

/// Draws GPT-2's initial weights: normal with standard deviation 0.02, the two projections into the residual
/// stream scaled by 1/√(2 · layers), norms one and biases zero (`language/model.py`).
pub fn draw(model: Transformer, layers: usize, seed: u64) -> Result<Transformer> {
    let mut row = 0;
    replace(model, |name, shape| {
        row += 1;
        let count = shape.iter().product();
        let into_residual = INTO_RESIDUAL.iter().any(|ending| name.ends_with(ending));
        Ok(match shape {
            [_] if name.ends_with("weight") => vec![1.0; count],
            [_] => vec![0.0; count],
            _ => {
                let deviation = if into_residual { 0.02 / (2.0 * layers as f32).sqrt() } else { 0.02 };
                normal(count, deviation, seed, row)
            }
        })
    })
}

/// Names of the projections into the residual stream.
const INTO_RESIDUAL: [&str; 3] = ["c_proj.weight", "o_proj.weight", "down_proj.weight"];

/// Multiplies every matrix of the model by `factor`.
#[must_use]
pub fn scale(model: Transformer, factor: f64) -> Transformer {
    struct Scale(f64);
    impl ModuleMapper for Scale {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if D == 2 { param.map(|tensor| tensor * self.0) } else { param }
        }
    }
    model.map(&mut Scale(factor))
}

/// Draws `count` numbers from N(0, `deviation`²) by the method of Box and Muller.
pub fn normal(count: usize, deviation: f32, seed: u64, row: u64) -> Vec<f32> {
    let mut rng = generator(seed, Stream::Initialization, 0, row);
    // In (0, 1], so that the logarithm is finite.
    let mut uniform = || (f64::from(rng.next_u32()) + 1.0) / 4_294_967_296.0;
    (0..count)
        .map(|_| {
            let radius = (-2.0 * uniform().ln()).sqrt();
            (radius * (std::f64::consts::TAU * uniform()).cos()) as f32 * deviation
        })
        .collect()
}

/// Returns the name and shape of every weight in files, and allocates no weight that is not initialized yet.
pub fn shapes(model: &Transformer) -> Vec<(String, Vec<usize>)> {
    struct Shapes<'a> {
        config: &'a ModelConfig,
        path: Vec<String>,
        found: Vec<(String, Vec<usize>)>,
    }
    impl ModuleVisitor for Shapes<'_> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.into());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let stored = self.config.stored_tensors(&self.path, &param.lazy_shape().to_vec());
            self.found.extend(stored.into_iter().map(|tensor| (tensor.name, tensor.shape)));
        }
    }
    let mut visitor = Shapes { config: model.config(), path: Vec::new(), found: Vec::new() };
    model.visit(&mut visitor);
    visitor.found
}

/// Reads all weights back, in one transaction, as files store them.
pub fn read(model: &Transformer) -> Result<Vec<NamedTensor>> {
    let readback = Some(Readback::default());
    let mut visitor = Collect { config: model.config(), path: Vec::new(), found: Vec::new(), readback };
    model.visit(&mut visitor);
    let values = visitor.readback.unwrap_or_default().floats()?;
    let of_parameter = |(stored, values): (Vec<StoredTensor>, Vec<f32>)| split(stored, values);
    Ok(visitor.found.into_iter().zip(values).flat_map(of_parameter).collect())
}

/// Function from a weight's name and shape to its numbers.
type Values<'a> = dyn FnMut(&str, &[usize]) -> Result<Vec<f32>> + 'a;

struct Replace<'a> {
    config: &'a ModelConfig,
    path: Vec<String>,
    values: &'a mut Values<'a>,
    error: Result<()>,
}

impl Replace<'_> {
    fn values_of(&mut self, shape: &[usize]) -> Result<Vec<f32>> {
        let stored = self.config.stored_tensors(&self.path, shape);
        let parts = stored.iter().map(|tensor| (self.values)(&tensor.name, &tensor.shape));
        let mut parts = parts.collect::<Result<Vec<_>>>()?;
        match (stored.as_slice(), parts.pop()) {
            ([StoredTensor { transposed: false, .. }], Some(values)) => Ok(values),
            (_, last) => Ok(join(&stored, parts.into_iter().chain(last).collect(), shape)),
        }
    }
}

impl ModuleMapper for Replace<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_err() {
            return param;
        }
        let shape = param.lazy_shape().to_vec();
        match self.values_of(&shape) {
            Ok(values) => {
                let device = param.lazy_device();
                let id = param.id;
                // Unlike `map`, this makes no zeros first.
                param.transform_for_load(Tensor::from_data(TensorData::new(values, shape), &device), id)
            }
            Err(error) => {
                self.error = Err(error);
                param
            }
        }
    }
}

struct Collect<'a> {
    config: &'a ModelConfig,
    path: Vec<String>,
    found: Vec<Vec<StoredTensor>>,
    readback: Option<Readback>,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        self.found.push(self.config.stored_tensors(&self.path, &tensor.dims()));
        self.readback = self.readback.take().map(|readback| readback.with(tensor));
    }
}
