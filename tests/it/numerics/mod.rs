//! The network, its operations and its gradients, compared with independent values on every backend.

/// Makes a test of each of these backends from a function of a device, such as `the_function::flex`.
macro_rules! on_backends {
    ($check:ident: $($backend:ident),+) => {
        mod $check {
            $(
                #[test]
                fn $backend() {
                    crate::numerics::devices::of_backend(stringify!($backend)).iter().for_each(super::$check);
                }
            )+
        }
    };
}

mod adam;
pub mod devices;
mod families;
mod gpt2_124m;
mod gradients;
mod model;
mod operations;
mod parity;
mod task;
mod tokenizer;
mod tokenizer_families;
