//! Optimizers whose state is restored from a checkpoint on the CPU.
//!
//! Burn restores a recorded state on its default device, which is a GPU wherever that backend is compiled in:
//! without a graphics driver it panics, whatever device the run is on. In any case, the first step moves the
//! state to the device of its parameter.

use burn::optim::{LearningRate, Optimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};

use crate::device;

/// Optimizer whose state is restored on the CPU, and that otherwise does the same as the optimizer inside.
#[derive(Debug, Clone)]
pub(crate) struct WithHostState<O>(pub O);

/// The state of a [`WithHostState`].
#[derive(Debug, Clone)]
pub(crate) struct HostState<S>(S);

impl<S: RecordState> RecordState for HostState<S> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        self.0.state_flatten(prefix, out);
    }

    fn state_unflatten(prefix: &str, source: &mut StateSource, _default: &Device) -> Option<Self> {
        // All tensors of a record share one buffer, which would stay until the last of them is replaced.
        let mut copied = StateSink::default();
        S::state_unflatten(prefix, source, &device::host())?.state_flatten(prefix, &mut copied);
        let mut source = StateSource::new(copied.scalars.into_iter().collect());
        copied.tensors.into_iter().for_each(|(name, data)| source.insert_tensor(name, data));
        S::state_unflatten(prefix, &mut source, &device::host()).map(Self)
    }
}

impl<O: Optimizer> Optimizer for WithHostState<O> {
    type State<const D: usize> = HostState<O::State<D>>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<HostState<O::State<D>>>,
    ) -> (Tensor<D>, Option<HostState<O::State<D>>>) {
        let (parameter, state) = self.0.step(rate, parameter, gradient, state.map(|state| state.0));
        (parameter, state.map(HostState))
    }

    fn to_device<const D: usize>(state: HostState<O::State<D>>, device: &Device) -> HostState<O::State<D>> {
        HostState(O::to_device(state.0, device))
    }
}
