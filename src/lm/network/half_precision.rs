//! Weights of a model that is not trained, stored in bf16 at half the size. The network computes in f32: each weight is
//! widened for the time of its product.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor};

/// Returns a module whose weights are rounded to bf16. It can be read, but not trained.
#[must_use]
pub(crate) fn to_bf16<M: Module>(module: M) -> M {
    struct Rounding;
    impl ModuleMapper for Rounding {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor.cast(DType::BF16))
        }
    }
    module.map(&mut Rounding)
}

/// Returns a parameter in f32.
pub(super) fn in_f32<const D: usize>(param: &Param<Tensor<D>>) -> Tensor<D> {
    widen(param.val())
}

/// Returns a tensor in f32, unchanged if it is so already.
pub(super) fn widen<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.dtype() == DType::F32 { tensor } else { tensor.cast(DType::F32) }
}
