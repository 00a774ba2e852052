//! How many units a kernel gets, and where its output goes.

use burn::tensor::Shape;
use burn_cubecl::cubecl::prelude::{CubeCount, CubeDim};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

/// Units of a cube; every graphics API allows as many.
pub(super) const UNITS: usize = 256;

/// The most cubes in one dimension that every graphics API allows.
const CUBES: usize = 65_535;

/// `cubes` cubes, or a few more: a kernel leaves those beyond its work at once.
pub(super) fn cubes(cubes: usize) -> CubeCount {
    let second = cubes.div_ceil(CUBES).max(1);
    CubeCount::Static(cubes.div_ceil(second) as u32, second as u32, 1)
}

pub(super) fn units(units: usize) -> CubeDim {
    CubeDim::new_1d(units as u32)
}

/// Uninitialized, on the device of `like`.
pub(super) fn empty_like(like: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), like.dtype)
}

/// Row-major without gaps, as kernels read their input.
pub(super) fn dense(tensor: CubeTensor) -> CubeTensor {
    into_contiguous(tensor)
}

/// The same numbers where nobody else sees them change.
pub(super) fn owned(tensor: CubeTensor) -> CubeTensor {
    let tensor = dense(tensor);
    if tensor.can_mut() { tensor } else { tensor.copy() }
}

/// `[rows, columns]` of a tensor of two dimensions.
pub(super) fn rows_and_columns(tensor: &CubeTensor) -> [usize; 2] {
    tensor.meta.shape().dims()
}
