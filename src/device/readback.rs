//! The one place that reads tensors back from a device.

use std::fmt;

use burn::tensor::kind::Transaction as Readable;
use burn::tensor::{Tensor, TensorData, Transaction};

use super::requests;
use crate::error::{Error, Result};

/// Tensors to be read from a device together.
#[derive(Default)]
pub struct Readback {
    transaction: Transaction,
}

impl Readback {
    /// Adds a tensor; results come in the order of adding.
    #[must_use]
    pub fn with<const D: usize, K: Readable>(self, tensor: Tensor<D, K>) -> Self {
        Self { transaction: self.transaction.register(tensor) }
    }

    /// Adds several tensors.
    #[must_use]
    pub fn with_all<const D: usize, K: Readable>(self, tensors: impl IntoIterator<Item = Tensor<D, K>>) -> Self {
        tensors.into_iter().fold(self, Self::with)
    }

    /// Waits for the device and returns each tensor's elements in row-major order.
    ///
    /// # Errors
    /// [`Error::Device`] when the device was lost or ran out of memory.
    pub fn floats(self) -> Result<Vec<Vec<f32>>> {
        self.read()?.into_iter().map(|data| convert(data.convert::<f32>().try_into_vec::<f32>())).collect()
    }

    /// Waits for the device and returns each tensor's token ids in row-major order.
    ///
    /// # Errors
    /// The errors of [`Self::floats`].
    pub fn ids(self) -> Result<Vec<Vec<i64>>> {
        self.read()?.into_iter().map(|data| convert(data.convert::<i64>().try_into_vec::<i64>())).collect()
    }

    fn read(self) -> Result<Vec<TensorData>> {
        requests::count_readback();
        pollster::block_on(self.transaction.execute_async()).map_err(|error| {
            Error::device(
                format!("the device failed: {error:?}"),
                "run the same command again to resume from the last checkpoint; to use less memory, \
                 lower policy.batch_size or task.query_length_tokens",
            )
        })
    }
}

/// Reads one tensor of floats.
///
/// # Errors
/// The errors of [`Readback::floats`].
pub fn read_floats<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    Ok(Readback::default().with(tensor).floats()?.pop().unwrap_or_default())
}

fn convert<T>(read: std::result::Result<Vec<T>, impl fmt::Debug>) -> Result<Vec<T>> {
    read.map_err(|error| Error::device(format!("the device returned unreadable data: {error:?}"), "report this"))
}
