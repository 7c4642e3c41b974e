use ndarray::{Array2, ArrayView2};

use super::InspectError;
use crate::data::ExamplesError;
use crate::loss::argmax;

/// How often inputs of each class are taken for each: rows are the true classes, columns the
/// predicted ones, the largest of a row of `outputs` (the first of equal ones). The diagonal is what
/// is right.
///
/// # Errors
/// If there are not as many classes as rows, or a class has no output.
#[allow(clippy::needless_pass_by_value, reason = "views are passed by value")]
pub fn confusion_matrix(
    outputs: ArrayView2<'_, f32>,
    classes: &[u32],
) -> Result<Array2<usize>, InspectError> {
    let (inputs, count) = outputs.dim();
    if inputs != classes.len() {
        return Err(ExamplesError::Count { inputs, targets: classes.len() }.into());
    }
    let mut matrix = Array2::zeros((count, count));
    for (row, &class) in outputs.rows().into_iter().zip(classes) {
        let class = class as usize;
        if class >= count {
            return Err(InspectError::Class { class, outputs: count });
        }
        let row = row.as_standard_layout();
        matrix[[class, argmax(row.as_slice().expect("standard layout is contiguous"))]] += 1;
    }
    Ok(matrix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_is_counted_once() {
        let outputs = ndarray::array![
            [0.1, 0.8, 0.1],
            [0.5, 0.5, 0.0],
            [0.0, 0.2, 0.8],
            [0.0, 0.9, 0.1],
            [f32::NAN, 0.2, 0.1],
        ];
        let matrix = confusion_matrix(outputs.view(), &[1, 0, 2, 2, 1]).unwrap();
        assert_eq!(matrix, ndarray::array![[1, 0, 0], [0, 2, 0], [0, 1, 1]]);
        // Columns of another array's rows do not lie side by side.
        let turned = outputs.t().to_owned();
        assert_eq!(confusion_matrix(turned.t(), &[1, 0, 2, 2, 1]).unwrap(), matrix);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let outputs = Array2::zeros((2, 3));
        let error = confusion_matrix(outputs.view(), &[0]).unwrap_err();
        assert_eq!(error, ExamplesError::Count { inputs: 2, targets: 1 }.into());
        let error = confusion_matrix(outputs.view(), &[0, 3]).unwrap_err();
        assert_eq!(error, InspectError::Class { class: 3, outputs: 3 });
        let nothing = confusion_matrix(Array2::zeros((0, 2)).view(), &[]).unwrap();
        assert_eq!(nothing, Array2::<usize>::zeros((2, 2)));
    }
}
