//! The first number of a tensor that is not finite.

/// Finds the first number that is not finite in a tensor of this shape, and describes it as "NaN at index 3" or
/// "inf at index 20 ([1, 5])"; indices count from 0, in row-major order.
pub(crate) fn first_not_finite(values: &[f32], shape: &[usize]) -> Option<String> {
    let index = values.iter().position(|value| !value.is_finite())?;
    let value = values.get(index)?;
    Some(format!("{value} at index {}", place(index, shape)))
}

/// Formats an index, with its coordinates in a tensor of this shape.
pub(crate) fn place(index: usize, shape: &[usize]) -> String {
    if shape.len() < 2 {
        return index.to_string();
    }
    let mut rest = index;
    let mut coordinates: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let size = size.max(1);
            let coordinate = rest % size;
            rest /= size;
            coordinate
        })
        .collect();
    coordinates.reverse();
    format!("{index} ({coordinates:?})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_that_is_not_finite_is_named_with_its_place() {
        assert_eq!(first_not_finite(&[0.0, 1e38, -0.0], &[3]), None);
        assert_eq!(first_not_finite(&[0.0, f32::NAN, f32::INFINITY], &[3]).unwrap(), "NaN at index 1");
        let mut values = vec![1.0; 30];
        values[20] = f32::NEG_INFINITY;
        assert_eq!(first_not_finite(&values, &[2, 15]).unwrap(), "-inf at index 20 ([1, 5])");
        assert_eq!(first_not_finite(&values, &[30]).unwrap(), "-inf at index 20");
        assert_eq!(first_not_finite(&values, &[2, 3, 5]).unwrap(), "-inf at index 20 ([1, 1, 0])");
    }
}
