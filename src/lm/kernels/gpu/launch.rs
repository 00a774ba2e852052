//! Launch sizes of kernels, and tensors for their input and output.

use burn::tensor::Shape;
use burn_cubecl::cubecl::prelude::{CubeCount, CubeDim};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_wgpu::CubeTensor;

/// Units of a cube: a number that every graphics API allows.
pub(super) const UNITS: usize = 256;

/// The most cubes in one dimension that every graphics API allows.
const CUBES: usize = 65_535;

/// Returns a grid of `cubes` cubes or a few more; a kernel ends at once in cubes beyond its work.
pub(super) fn cubes(cubes: usize) -> CubeCount {
    let second = cubes.div_ceil(CUBES).max(1);
    CubeCount::Static(cubes.div_ceil(second) as u32, second as u32, 1)
}

pub(super) fn units(units: usize) -> CubeDim {
    CubeDim::new_1d(units as u32)
}

/// Allocates an uninitialized tensor on the device of `like`.
pub(super) fn empty_like(like: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), like.dtype)
}

/// Returns the tensor in row-major order without gaps, as kernels read their input.
pub(super) fn dense(tensor: CubeTensor) -> CubeTensor {
    into_contiguous(tensor)
}

/// Returns the tensor in memory that no other tensor shares, so that a kernel may change it.
pub(super) fn owned(tensor: CubeTensor) -> CubeTensor {
    let tensor = dense(tensor);
    if tensor.can_mut() { tensor } else { tensor.copy() }
}

/// Returns `[rows, columns]` of a tensor of two dimensions.
pub(super) fn rows_and_columns(tensor: &CubeTensor) -> [usize; 2] {
    tensor.meta.shape().dims()
}
