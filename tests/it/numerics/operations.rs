//! Values and gradients of each operation of the network, compared with a slow implementation in f64 on the
//! host, whose gradient is a central difference.

use burn::tensor::{Device, Int, Tensor, TensorData};
use preftune::device::read_floats;
use preftune::lm::kernels;
use preftune::lm::kernels::HeadCounts;
use preftune::lm::network::Rotation;
use preftune::lm::network::parameters::normal;

use crate::numerics::devices;

/// Number of places of an input at which the gradient is compared.
const PLACES: usize = 300;

type Matrix = Vec<Vec<f64>>;
type OnDevice<'a> = dyn Fn(&[Tensor<1>]) -> Tensor<1> + 'a;
type OnHost<'a> = dyn Fn(&[Vec<f64>]) -> Vec<f64> + 'a;

/// A function of several flat lists of numbers, in two implementations.
struct Case<'a> {
    name: String,
    inputs: Vec<Vec<f32>>,
    on_device: &'a OnDevice<'a>,
    on_host: &'a OnHost<'a>,
}

/// The layout of a matrix in the flat list that it comes from. Backends treat views differently.
#[derive(Debug, Clone, Copy)]
enum Layout {
    Rows,
    /// Columns one after the other, so that the matrix is a transposed view.
    Columns,
    /// Rows with a column on either side that is not part of the matrix.
    Slice,
}

const LAYOUTS: [Layout; 3] = [Layout::Rows, Layout::Columns, Layout::Slice];

impl Layout {
    fn numbers(self, rows: usize, columns: usize) -> usize {
        rows * if matches!(self, Self::Slice) { columns + 2 } else { columns }
    }

    fn on_device(self, flat: &Tensor<1>, rows: usize, columns: usize) -> Tensor<2> {
        match self {
            Self::Rows => flat.clone().reshape([rows, columns]),
            Self::Columns => flat.clone().reshape([columns, rows]).swap_dims(0, 1),
            Self::Slice => flat.clone().reshape([rows, columns + 2]).slice([0..rows, 1..columns + 1]),
        }
    }

    fn on_host(self, flat: &[f64], rows: usize, columns: usize) -> Matrix {
        let at = |row: usize, column: usize| match self {
            Self::Rows => flat[row * columns + column],
            Self::Columns => flat[column * rows + row],
            Self::Slice => flat[row * (columns + 2) + column + 1],
        };
        (0..rows).map(|row| (0..columns).map(|column| at(row, column)).collect()).collect()
    }
}

fn check(case: &Case<'_>, layout: Layout) {
    let cpus = [devices::ndarray(), devices::flex()];
    // A GPU backend tunes its kernels for every shape, which takes long on a software driver. It only gets
    // the layout that the network uses.
    let gpu = matches!(layout, Layout::Rows).then(devices::wgpu).flatten();
    cpus.iter().chain(&gpu).for_each(|device| check_on(case, device));
}

fn check_on(case: &Case<'_>, device: &Device) {
    let host: Vec<Vec<f64>> = case.inputs.iter().map(|input| input.iter().map(|&x| f64::from(x)).collect()).collect();
    let expected = (case.on_host)(&host);
    let found = read_floats((case.on_device)(&vectors(&case.inputs, device))).unwrap();
    assert_close(&found, &expected, 2e-5, &format!("{} on {device:?}", case.name));

    let cotangent = normal(expected.len(), 1.0, 99, 0);
    let objective = |host: &[Vec<f64>]| -> f64 {
        (case.on_host)(host).iter().zip(&cotangent).map(|(y, &c)| y * f64::from(c)).sum()
    };
    let expected: Vec<Vec<f64>> = (0..host.len()).map(|input| central_differences(&objective, &host, input)).collect();

    // The gradient is taken for all inputs together, and for each alone.
    let everything: Vec<usize> = (0..host.len()).collect();
    let alone = everything.iter().map(|&input| vec![input]);
    for tracked in std::iter::once(everything.clone()).chain(alone) {
        let device = device.clone().autodiff();
        let mut leaves = vectors(&case.inputs, &device);
        tracked.iter().for_each(|&input| leaves[input].inplace(Tensor::require_grad));
        let gradients = ((case.on_device)(&leaves) * vector(&cotangent, &device)).sum().backward();
        for &input in &tracked {
            let found = read_floats(leaves[input].grad(&gradients).unwrap()).unwrap();
            let found: Vec<f32> = places(found.len()).map(|place| found[place]).collect();
            let what = format!("gradient {input} of {} on {device:?} with {tracked:?} tracked", case.name);
            assert_close(&found, &expected[input], 5e-5, &what);
        }
    }
}

fn vectors(inputs: &[Vec<f32>], device: &Device) -> Vec<Tensor<1>> {
    inputs.iter().map(|input| vector(input, device)).collect()
}

fn vector(numbers: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(numbers.to_vec(), [numbers.len()]), device)
}

fn places(count: usize) -> impl Iterator<Item = usize> {
    (0..count).step_by(count.div_ceil(PLACES))
}

fn central_differences(objective: &dyn Fn(&[Vec<f64>]) -> f64, at: &[Vec<f64>], input: usize) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut point = at.to_vec();
    let mut shifted = |place: usize, by: f64| {
        point[input][place] = at[input][place] + by;
        let value = objective(&point);
        point[input][place] = at[input][place];
        value
    };
    places(at[input].len()).map(|place| (shifted(place, STEP) - shifted(place, -STEP)) / (2.0 * STEP)).collect()
}

/// Checks that the values agree. The tolerance is relative to the largest expected number.
fn assert_close(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    let scale = expected.iter().fold(1.0_f64, |largest, x| largest.max(x.abs()));
    let difference = crate::support::tiny::largest_difference(found, expected);
    assert!(difference <= tolerance * scale, "{what}: off by {difference:e} at a scale of {scale:.1e}");
}

#[test]
fn linear_and_its_gradients() {
    for (seed, (rows, from, to)) in
        [(1, 1, 1), (1, 5, 3), (7, 4, 9), (33, 16, 2), (70, 40, 130)].into_iter().enumerate()
    {
        for layout in LAYOUTS {
            let inputs = [layout.numbers(rows, from), layout.numbers(from, to), to];
            let case = Case {
                name: format!("linear [{rows}, {from}] · [{from}, {to}], {layout:?}"),
                inputs: inputs.map(|count| normal(count, 1.0, seed as u64, count as u64)).into(),
                on_device: &|inputs| {
                    let rows_in = layout.on_device(&inputs[0], rows, from);
                    let weight = layout.on_device(&inputs[1], from, to);
                    kernels::linear(rows_in, weight, inputs[2].clone()).flatten(0, 1)
                },
                on_host: &|inputs| {
                    let rows = layout.on_host(&inputs[0], rows, from);
                    let weight = layout.on_host(&inputs[1], from, to);
                    let cell = |row: &[f64], column: usize| {
                        let products = row.iter().zip(&weight).map(|(x, weights)| x * weights[column]);
                        products.sum::<f64>() + inputs[2][column]
                    };
                    rows.iter().flat_map(|row| (0..to).map(|column| cell(row, column)).collect::<Vec<_>>()).collect()
                },
            };
            check(&case, layout);
        }
    }
}

#[test]
fn gelu_and_its_gradient() {
    // Each shape comes with the standard deviation of the inputs: at 15, most are in the tails.
    let shapes = [(1, 1, 1.0), (5, 3, 1.0), (17, 4, 3.0), (6, 9, 15.0), (300, 70, 1.0)];
    for (seed, (rows, columns, deviation)) in shapes.into_iter().enumerate() {
        for layout in LAYOUTS {
            let case = Case {
                name: format!("gelu [{rows}, {columns}], {layout:?}"),
                inputs: vec![normal(layout.numbers(rows, columns), deviation, seed as u64, 0)],
                on_device: &|inputs| kernels::gelu(layout.on_device(&inputs[0], rows, columns)).flatten(0, 1),
                on_host: &|inputs| {
                    let gelu = |x: f64| {
                        let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
                        0.5 * x * (1.0 + inner.tanh())
                    };
                    layout.on_host(&inputs[0], rows, columns).concat().into_iter().map(gelu).collect()
                },
            };
            check(&case, layout);
        }
    }
}

#[test]
fn layer_norm_and_its_gradients() {
    // Each shape comes with mean and standard deviation of the rows. In the last, epsilon matters most.
    let shapes = [
        (1, 2, 0.0, 1.0),
        (6, 5, 0.0, 1.0),
        (3, 32, 2.0, 0.5),
        (500, 32, -1.0, 3.0),
        (3, 700, 1.0, 1.0),
        (4, 8, 0.0, 1e-3),
    ];
    for (seed, (rows, width, centre, spread)) in shapes.into_iter().enumerate() {
        for layout in LAYOUTS {
            let drawn = normal(layout.numbers(rows, width), spread, seed as u64, 0);
            let case = Case {
                name: format!("layer_norm [{rows}, {width}] around {centre} ± {spread}, {layout:?}"),
                inputs: vec![
                    drawn.into_iter().map(|x| x + centre).collect(),
                    normal(width, 1.0, seed as u64, 1),
                    normal(width, 1.0, seed as u64, 2),
                ],
                on_device: &|inputs| {
                    let rows = layout.on_device(&inputs[0], rows, width);
                    kernels::layer_norm(rows, inputs[1].clone(), inputs[2].clone(), 1e-5).flatten(0, 1)
                },
                on_host: &|inputs| {
                    let norm = |row: &Vec<f64>| {
                        let mean = row.iter().sum::<f64>() / width as f64;
                        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
                        let scaled = row.iter().map(|x| (x - mean) / (variance + 1e-5).sqrt());
                        scaled.zip(&inputs[1]).zip(&inputs[2]).map(|((x, w), b)| x * w + b).collect::<Vec<_>>()
                    };
                    layout.on_host(&inputs[0], rows, width).iter().flat_map(norm).collect()
                },
            };
            check(&case, layout);
        }
    }
}

#[test]
fn causal_attention_and_its_gradient() {
    // Each shape comes with the standard deviation of queries, keys and values: at 5, most weight is on one
    // token.
    let shapes = [
        (1, 1, HeadCounts { queries: 1, keys: 1 }, 2, 1.0),
        (2, 5, HeadCounts { queries: 2, keys: 2 }, 3, 1.0),
        (3, 4, HeadCounts { queries: 1, keys: 1 }, 4, 2.0),
        (1, 9, HeadCounts { queries: 3, keys: 3 }, 2, 5.0),
        (3, 40, HeadCounts { queries: 4, keys: 4 }, 8, 1.0),
        (1, 140, HeadCounts { queries: 1, keys: 1 }, 3, 1.0),
        // Heads of queries that share keys and values.
        (2, 7, HeadCounts { queries: 6, keys: 2 }, 4, 1.0),
        (1, 40, HeadCounts { queries: 3, keys: 1 }, 10, 1.0),
    ];
    for (seed, (batch, seq, heads, head_width, deviation)) in shapes.into_iter().enumerate() {
        for layout in LAYOUTS {
            let (rows, width) = (batch * seq, (heads.queries + 2 * heads.keys) * head_width);
            let case = Case {
                name: format!("causal_attention of {batch} × {seq} tokens, {heads:?} of {head_width}, {layout:?}"),
                inputs: vec![normal(layout.numbers(rows, width), deviation, seed as u64, 0)],
                on_device: &|inputs| {
                    let qkv = layout.on_device(&inputs[0], rows, width);
                    kernels::causal_attention(qkv, batch, seq, heads).flatten(0, 1)
                },
                on_host: &|inputs| {
                    let qkv = layout.on_host(&inputs[0], rows, width);
                    let sequences = qkv.chunks(seq);
                    sequences.flat_map(|tokens| attend_on_host(tokens, heads, head_width)).flatten().collect()
                },
            };
            check(&case, layout);
        }
    }
}

/// Computes attention over one sequence, from queries, keys and values of each token to `[seq, heads · head_width]`.
fn attend_on_host(tokens: &[Vec<f64>], heads: HeadCounts, head_width: usize) -> Matrix {
    let part = |token: usize, first_head: usize, head: usize| {
        let start = (first_head + head) * head_width;
        &tokens[token][start..start + head_width]
    };
    let attend = |token: usize, head: usize| {
        let query = part(token, 0, head);
        let shared = head / (heads.queries / heads.keys);
        let score = |other: usize| -> f64 {
            let dot: f64 = query.iter().zip(part(other, heads.queries, shared)).map(|(q, k)| q * k).sum();
            dot / (head_width as f64).sqrt()
        };
        let weights: Vec<f64> = (0..=token).map(|other| score(other).exp()).collect();
        let total: f64 = weights.iter().sum();
        let value = |other: usize| part(other, heads.queries + heads.keys, shared);
        let column = |i: usize| (0..=token).map(|other| weights[other] / total * value(other)[i]).sum();
        (0..head_width).map(column).collect::<Vec<f64>>()
    };
    (0..tokens.len()).map(|token| (0..heads.queries).flat_map(|head| attend(token, head)).collect()).collect()
}

#[test]
fn matrix_product_and_its_gradients() {
    for (seed, (rows, from, to)) in [(1, 1, 1), (7, 4, 9), (33, 16, 2), (70, 40, 130)].into_iter().enumerate() {
        for layout in LAYOUTS {
            let inputs = [layout.numbers(rows, from), layout.numbers(from, to)];
            let case = Case {
                name: format!("matrix_product [{rows}, {from}] · [{from}, {to}], {layout:?}"),
                inputs: inputs.map(|count| normal(count, 1.0, seed as u64, count as u64)).into(),
                on_device: &|inputs| {
                    let rows_in = layout.on_device(&inputs[0], rows, from);
                    kernels::matrix_product(rows_in, layout.on_device(&inputs[1], from, to)).flatten(0, 1)
                },
                on_host: &|inputs| {
                    let weight = layout.on_host(&inputs[1], from, to);
                    let output = |row: &[f64], column: usize| {
                        row.iter().zip(&weight).map(|(x, weights)| x * weights[column]).sum::<f64>()
                    };
                    let rows = layout.on_host(&inputs[0], rows, from);
                    rows.iter().flat_map(|row| (0..to).map(|column| output(row, column))).collect()
                },
            };
            check(&case, layout);
        }
    }
}

#[test]
fn swiglu_and_its_gradient() {
    // Each shape comes with the standard deviation of the inputs: at 15, most gates are in the tails.
    for (seed, (rows, width, deviation)) in
        [(1, 1, 1.0), (5, 3, 1.0), (17, 4, 3.0), (6, 9, 15.0), (300, 70, 1.0)].into_iter().enumerate()
    {
        for layout in LAYOUTS {
            let case = Case {
                name: format!("swiglu [{rows}, 2 · {width}], {layout:?}"),
                inputs: vec![normal(layout.numbers(rows, 2 * width), deviation, seed as u64, 0)],
                on_device: &|inputs| kernels::swiglu(layout.on_device(&inputs[0], rows, 2 * width)).flatten(0, 1),
                on_host: &|inputs| {
                    let gated = |(gate, up): (&f64, &f64)| gate / (1.0 + (-gate).exp()) * up;
                    let rows = layout.on_host(&inputs[0], rows, 2 * width);
                    rows.iter().flat_map(|row| row.iter().zip(&row[width..]).map(gated)).collect()
                },
            };
            check(&case, layout);
        }
    }
}

#[test]
fn rotation_and_its_gradient() {
    // The number of rows is a multiple of the number of positions; some heads are rotated, and the others not.
    let shapes = [(1, 1, 1, 1, 2), (6, 3, 2, 3, 4), (40, 40, 5, 8, 6), (40, 20, 3, 3, 66)];
    for (seed, (rows, period, rotated, heads, head_width)) in shapes.into_iter().enumerate() {
        let table = Rotation { theta: 50.0, scaling: None }.table(3..3 + period, head_width);
        let angle =
            |row: usize, pair: usize| (3 + row % period) as f64 * 50f64.powf(-2.0 * pair as f64 / head_width as f64);
        for layout in LAYOUTS {
            let width = heads * head_width;
            let case = Case {
                name: format!("rotation of {rotated} of {heads} heads of {head_width} in {rows} rows, {layout:?}"),
                inputs: vec![normal(layout.numbers(rows, width), 1.0, seed as u64, 0)],
                on_device: &|inputs| {
                    let table = TensorData::new(table.clone(), [period, head_width]);
                    let table = Tensor::<2>::from_data(table, &inputs[0].device());
                    kernels::rotate(layout.on_device(&inputs[0], rows, width), table, rotated).flatten(0, 1)
                },
                on_host: &|inputs| {
                    let turned = |(number, row): (usize, &Vec<f64>)| {
                        let mut turned = row.clone();
                        for (head, pair) in
                            (0..rotated).flat_map(|head| (0..head_width / 2).map(move |pair| (head, pair)))
                        {
                            let (sine, cosine) = angle(number, pair).sin_cos();
                            let (first, second) = (head * head_width + pair, head * head_width + pair + head_width / 2);
                            turned[first] = row[first] * cosine - row[second] * sine;
                            turned[second] = row[second] * cosine + row[first] * sine;
                        }
                        turned
                    };
                    layout.on_host(&inputs[0], rows, width).iter().enumerate().flat_map(turned).collect()
                },
            };
            check(&case, layout);
        }
    }
}

#[test]
fn rms_norm_and_its_gradients() {
    // Each shape comes with mean and standard deviation of the rows. In the last, epsilon matters most.
    let shapes = [
        (1, 2, 0.0, 1.0),
        (6, 5, 0.0, 1.0),
        (3, 32, 2.0, 0.5),
        (500, 32, -1.0, 3.0),
        (3, 700, 1.0, 1.0),
        (4, 8, 0.0, 1e-3),
    ];
    for (seed, (rows, width, centre, spread)) in shapes.into_iter().enumerate() {
        for layout in LAYOUTS {
            let drawn = normal(layout.numbers(rows, width), spread, seed as u64, 0);
            let case = Case {
                name: format!("rms_norm [{rows}, {width}] around {centre} ± {spread}, {layout:?}"),
                inputs: vec![drawn.into_iter().map(|x| x + centre).collect(), normal(width, 1.0, seed as u64, 1)],
                on_device: &|inputs| {
                    let rows = layout.on_device(&inputs[0], rows, width);
                    kernels::rms_norm(rows, inputs[1].clone(), 1e-5).flatten(0, 1)
                },
                on_host: &|inputs| {
                    let norm = |row: &Vec<f64>| {
                        let mean_square = row.iter().map(|x| x * x).sum::<f64>() / width as f64;
                        let scaled = row.iter().map(|x| x / (mean_square + 1e-5).sqrt());
                        scaled.zip(&inputs[1]).map(|(x, w)| x * w).collect::<Vec<_>>()
                    };
                    layout.on_host(&inputs[0], rows, width).iter().flat_map(norm).collect()
                },
            };
            check(&case, layout);
        }
    }
}

#[test]
fn picked_log_probabilities_and_their_gradient() {
    // Each shape comes with the standard deviation of the logits: at 20, most tokens have almost no
    // probability.
    for (seed, (rows, vocab, deviation)) in
        [(1, 2, 1.0), (6, 37, 1.0), (3, 5, 20.0), (150, 300, 3.0)].into_iter().enumerate()
    {
        let targets: Vec<usize> = (0..rows).map(|row| (row * 5 + vocab - 1) % vocab).collect();
        for layout in LAYOUTS {
            let case = Case {
                name: format!("pick_log_probs [{rows}, {vocab}], {layout:?}"),
                inputs: vec![normal(layout.numbers(rows, vocab), deviation, seed as u64, 0)],
                on_device: &|inputs| {
                    let ids: Vec<i64> = targets.iter().map(|&id| id as i64).collect();
                    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows, 1]), &inputs[0].device());
                    kernels::pick_log_probs(layout.on_device(&inputs[0], rows, vocab), ids)
                },
                on_host: &|inputs| {
                    let log_prob = |(row, &target): (&Vec<f64>, &usize)| {
                        row[target] - row.iter().map(|logit| logit.exp()).sum::<f64>().ln()
                    };
                    layout.on_host(&inputs[0], rows, vocab).iter().zip(&targets).map(log_prob).collect()
                },
            };
            check(&case, layout);
        }
    }
}

#[test]
fn logits_and_their_gradients() {
    for (seed, (rows, width, vocab)) in [(1, 1, 1), (7, 4, 9), (33, 16, 40)].into_iter().enumerate() {
        for layout in LAYOUTS {
            let case = Case {
                name: format!("logits [{rows}, {width}] · [{vocab}, {width}]ᵀ, {layout:?}"),
                inputs: [layout.numbers(rows, width), layout.numbers(vocab, width)]
                    .map(|count| normal(count, 1.0, seed as u64, count as u64))
                    .into(),
                on_device: &|inputs| {
                    let hidden = layout.on_device(&inputs[0], rows, width);
                    kernels::logits(hidden, layout.on_device(&inputs[1], vocab, width)).flatten(0, 1)
                },
                on_host: &|inputs| {
                    let embedding = layout.on_host(&inputs[1], vocab, width);
                    let logit = |row: &[f64], token: &[f64]| row.iter().zip(token).map(|(x, e)| x * e).sum::<f64>();
                    let hidden = layout.on_host(&inputs[0], rows, width);
                    hidden.iter().flat_map(|row| embedding.iter().map(|token| logit(row, token))).collect()
                },
            };
            check(&case, layout);
        }
    }
}

#[test]
fn entropies_are_those_of_the_softmax() {
    // The last case has more rows than a graphics adapter counts in one dimension.
    for (rows, vocab, deviation) in [(1, 2, 1.0), (6, 37, 1.0), (3, 5, 20.0), (40, 300, 3.0), (65_600, 2, 1.0)] {
        let logits = normal(rows * vocab, deviation, 1, vocab as u64);
        let entropy = |row: &[f32]| {
            let weights: Vec<f64> = row.iter().map(|&logit| f64::from(logit).exp()).collect();
            let total: f64 = weights.iter().sum();
            -weights.iter().map(|weight| weight / total * (weight / total).max(1e-300).ln()).sum::<f64>()
        };
        let expected: Vec<f64> = logits.chunks(vocab).map(entropy).collect();
        for device in [devices::ndarray(), devices::flex()].into_iter().chain(devices::wgpu()) {
            let on_device = Tensor::from_data(TensorData::new(logits.clone(), [rows, vocab]), &device);
            let found = read_floats(kernels::entropies(on_device)).unwrap();
            assert_close(&found, &expected, 2e-5, &format!("entropies [{rows}, {vocab}] on {device:?}"));
        }
    }
}

#[test]
fn cached_attention_sees_the_slots_it_may() {
    check_cached_attention([3, 2, 64, 5], 1, 37);
    check_cached_attention([2, 1, 160, 66], 1, 140);
    // Heads of queries that share keys and values.
    check_cached_attention([3, 2, 64, 5], 3, 37);
}

fn check_cached_attention([rows, key_heads, capacity, head_width]: [usize; 4], group: usize, slots: usize) {
    let heads = key_heads * group;
    let query = normal(rows * heads * head_width, 1.0, 1, 0);
    let [keys, values] = [2, 3].map(|seed| normal(rows * key_heads * capacity * head_width, 1.0, seed, 0));
    // Every fifth slot is hidden, and so are the slots that hold no token yet.
    let hidden = |slot: usize| slot >= slots || slot % 5 == 4;
    let score = |slot: usize| if hidden(slot) { -1e9 } else { 0.0 };
    let scores: Vec<f32> = (0..rows * capacity).map(|place| score(place % capacity)).collect();
    let attend = |head: usize| {
        let vector = |all: &[f32], number: usize| -> Vec<f64> {
            all[number * head_width..(number + 1) * head_width].iter().map(|&x| f64::from(x)).collect()
        };
        let seen: Vec<usize> = (0..capacity).filter(|&slot| !hidden(slot)).collect();
        let shared = head / group;
        let dot = |slot: usize| {
            vector(&query, head).iter().zip(vector(&keys, shared * capacity + slot)).map(|(q, k)| q * k).sum::<f64>()
        };
        let weights: Vec<f64> = seen.iter().map(|&slot| (dot(slot) / (head_width as f64).sqrt()).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut sum = vec![0.0; head_width];
        for (weight, &slot) in weights.iter().zip(&seen) {
            for (sum, value) in sum.iter_mut().zip(vector(&values, shared * capacity + slot)) {
                *sum += weight / total * value;
            }
        }
        sum
    };
    let expected: Vec<f64> = (0..rows * heads).flat_map(attend).collect();
    for device in [devices::ndarray(), devices::flex()].into_iter().chain(devices::wgpu()) {
        let cache = |all: &[f32]| {
            Tensor::<4>::from_data(TensorData::new(all.to_vec(), [rows, key_heads, capacity, head_width]), &device)
        };
        let query = Tensor::<2>::from_data(TensorData::new(query.clone(), [rows, heads * head_width]), &device);
        let scores = Tensor::<2>::from_data(TensorData::new(scores.clone(), [rows, capacity]), &device);
        let found = kernels::cached_attention(query, cache(&keys), cache(&values), scores, slots);
        let found = read_floats(found).unwrap();
        assert_close(&found, &expected, 2e-5, &format!("cached attention on {device:?}"));
    }
}
