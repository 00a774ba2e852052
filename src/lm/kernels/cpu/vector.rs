//! Loops over slices that the compiler turns into vector instructions.

use pulp::Simd;

/// Defines a function that is compiled for each vector width and runs in the widest form that the processor
/// has. All code of its body must be inlined for that, which rules closures out. `fn name[simd](…)` names the
/// vector operations for a body that uses them itself.
macro_rules! vectorized {
    ($(#[$attribute:meta])* fn $name:ident[$simd:ident]($($argument:ident: $type:ty),* $(,)?) -> $result:ty $body:block) => {
        $(#[$attribute])*
        fn $name($($argument: $type),*) -> $result {
            struct Call<T>(T);
            impl pulp::WithSimd for Call<($($type,)*)> {
                type Output = $result;

                #[inline(always)]
                fn with_simd<S: pulp::Simd>(self, $simd: S) -> $result {
                    let ($($argument,)*) = self.0;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Call(($($argument,)*)))
        }
    };
    ($(#[$attribute:meta])* fn $name:ident($($arguments:tt)*) -> $result:ty $body:block) => {
        vectorized! { $(#[$attribute])* fn $name[_simd]($($arguments)*) -> $result $body }
    };
    ($(#[$attribute:meta])* fn $name:ident$([$simd:ident])?($($arguments:tt)*) $body:block) => {
        vectorized! { $(#[$attribute])* fn $name$([$simd])?($($arguments)*) -> () $body }
    };
}
pub(super) use vectorized;

/// Number of partial sums: a strict order of additions would keep the compiler from using vectors.
pub(super) const LANES: usize = 16;

/// Computes eˣ to a few units in the last place, without a call: `2ⁿ · p(r)` with `x = n ln 2 + r`.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding 1.5 · 2²³ leaves the rounded integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let r = x - whole * 0.693_359_4 + whole * 2.121_944_4e-4;
    let polynomial =
        1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0))))));
    let power = (shifted.to_bits() << 23).wrapping_add(127 << 23);
    polynomial * f32::from_bits(power)
}

/// Sums the lanes in whole vectors: from a plain sum, the compiler makes vectors of two numbers.
#[inline(always)]
fn sum_of_lanes<S: Simd>(simd: S, lanes: &[f32; LANES]) -> f32 {
    let mut sum = 0.0;
    for vector in S::as_simd_f32s(lanes).0 {
        sum += simd.reduce_sum_f32s(*vector);
    }
    sum
}

#[inline(always)]
pub(super) fn sum<S: Simd>(simd: S, values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += term(value);
        }
    }
    sum_of_lanes(simd, &lanes) + rest.iter().map(|&value| term(value)).sum::<f32>()
}

#[inline(always)]
pub(super) fn sum_products<S: Simd>(simd: S, left: &[f32], right: &[f32]) -> f32 {
    let ((left, left_rest), (right, right_rest)) = (S::as_simd_f32s(left), S::as_simd_f32s(right));
    let ((left, left_last), (right, right_last)) = (left.as_chunks::<4>(), right.as_chunks::<4>());
    // Four sums, because each addition waits for the one before it in the same sum.
    let mut sums = [simd.splat_f32s(0.0); 4];
    for (left, right) in left.iter().zip(right) {
        for ((sum, &left), &right) in sums.iter_mut().zip(left).zip(right) {
            *sum = simd.mul_add_f32s(left, right, *sum);
        }
    }
    for ((sum, &left), &right) in sums.iter_mut().zip(left_last).zip(right_last) {
        *sum = simd.mul_add_f32s(left, right, *sum);
    }
    let [a, b, c, d] = sums;
    let sum = simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d));
    simd.reduce_sum_f32s(sum) + left_rest.iter().zip(right_rest).map(|(l, r)| l * r).sum::<f32>()
}

#[inline(always)]
pub(super) fn maximum(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Computes the logarithm of the sum of exponentials of a row.
#[inline(always)]
pub(super) fn log_sum_exp<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let largest = maximum(row);
    largest + sum(simd, row, |x| exp(x - largest)).ln()
}
