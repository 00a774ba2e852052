//! Tensors of `flex` as slices, and slices as tensors.

use burn::backend::flex::{FlexTensor, Layout};
use burn::tensor::{Bytes, DType, Shape};

/// Elements of a tensor in row-major order, copied only if memory holds them in another order.
pub(super) struct Elements(FlexTensor);

impl Elements {
    pub(super) fn of(tensor: FlexTensor) -> Self {
        if tensor.as_slice::<f32>().is_some() { Self(tensor) } else { Self(tensor.to_contiguous()) }
    }

    pub(super) fn slice(&self) -> &[f32] {
        self.0.as_slice::<f32>().unwrap_or_default()
    }

    pub(super) fn shape(&self) -> Shape {
        self.0.layout().shape().clone()
    }

    /// Returns the size of the last dimension.
    pub(super) fn width(&self) -> usize {
        self.shape().to_vec().last().copied().unwrap_or(1).max(1)
    }
}

pub(super) fn tensor(elements: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(elements), Layout::contiguous(shape), DType::F32)
}

/// Mutable elements of a tensor: its own memory if no other tensor shares it, a copy otherwise.
pub(super) struct Changeable(FlexTensor);

impl Changeable {
    pub(super) fn of(tensor: FlexTensor) -> Self {
        let layout = tensor.layout();
        let whole = layout.is_contiguous() && tensor.storage::<f32>().len() == layout.num_elements();
        if whole {
            return Self(tensor);
        }
        let elements = Elements::of(tensor);
        Self(self::tensor(elements.slice().to_vec(), elements.shape()))
    }

    pub(super) fn slice(&mut self) -> &mut [f32] {
        self.0.storage_mut::<f32>()
    }

    pub(super) fn tensor(self) -> FlexTensor {
        self.0
    }
}

/// Applies `change` to the elements of a tensor.
pub(super) fn changed(tensor: FlexTensor, change: impl FnOnce(&mut [f32])) -> FlexTensor {
    let mut elements = Changeable::of(tensor);
    change(elements.slice());
    elements.tensor()
}
