//! Check of gradients before an optimizer steps with them.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

use crate::error::{Error, Result};

/// Sum of the squares of each parameter's gradient, on the device until it is read back together with other
/// tensors.
///
/// Adam keeps an average of squares: a finite gradient whose square is not finite makes Adam's state infinite,
/// and its parameter never learns again.
#[derive(Debug)]
pub struct GradientSquares {
    /// Paths of the parameters that have a gradient.
    paths: Vec<String>,
    /// `[paths]`
    sums: Option<Tensor<1>>,
}

impl GradientSquares {
    /// Computes the sums for `gradients`, which are those of `module`.
    pub fn of<M: Module>(module: &M, gradients: &GradientsParams) -> Self {
        let mut visitor = Squares { gradients, path: Vec::new(), paths: Vec::new(), sums: Vec::new() };
        module.visit(&mut visitor);
        let Squares { paths, sums, .. } = visitor;
        Self { paths, sums: (!sums.is_empty()).then(|| Tensor::cat(sums, 0)) }
    }

    /// Returns the tensor to read back, if there are gradients.
    pub fn sums(&self) -> Option<Tensor<1>> {
        self.sums.clone()
    }

    /// Checks the sums that were read back.
    ///
    /// # Errors
    /// [`Error::Failed`] that names the first parameter whose gradient, or its square, is not finite; `hint`
    /// says what to do.
    pub fn check(&self, read: &[f32], hint: &str) -> Result<()> {
        match self.paths.iter().zip(read).find(|(_, sum)| !sum.is_finite()) {
            None => Ok(()),
            Some((path, sum)) => Err(Error::failed(
                format!("the gradient of {path} is unusable: the sum of its squares is {sum}"),
                format!("{hint}, and run the same command again to resume from the last checkpoint"),
            )),
        }
    }
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    path: Vec<String>,
    paths: Vec<String>,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(parameter.id) {
            self.paths.push(self.path.join("."));
            self.sums.push(gradient.square().sum());
        }
    }
}
