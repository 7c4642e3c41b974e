use std::fmt;
use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView3, Axis};

use super::{Inspect, InspectError, Inspector, View, array, find, owned, picture, sizes};
use crate::buffer::{Buffer, Floats};
use crate::network::LayerInfo;

/// How a gradient goes back through a relu. Other layers always take their derivative; a maximum
/// hands it to the place that won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Where the relu let something through: the gradient (Simonyan, Vedaldi and Zisserman 2014).
    Gradient,
    /// There, and where it is positive: guided backpropagation (Springenberg et al., "Striving for
    /// Simplicity", 2015).
    Guided,
    /// Where it is positive: the deconvolution of Zeiler and Fergus, "Visualizing and Understanding
    /// Convolutional Networks" (2014). A `ReLU` layer with a threshold or a maximum of its own goes
    /// by [`Guided`](Self::Guided).
    Deconvolution,
}

/// A network that has looked at an image.
///
/// Arrays of layers are rows x columns x features: a dense layer has one row, one column, and a
/// feature for each unit. Arrays of the input are height x width x channels; one of two axes has one
/// channel.
pub struct Seen<'i, N: Inspect> {
    inspector: &'i mut Inspector<N>,
}

impl<'i, N: Inspect> Seen<'i, N> {
    pub(super) const fn new(inspector: &'i mut Inspector<N>) -> Self {
        Self { inspector }
    }

    /// The image.
    #[must_use]
    pub fn image(&self) -> ArrayView3<'_, f32> {
        array(picture(N::INPUT_SHAPE), &self.inspector.arena[..N::Input::LEN])
    }

    /// The network's output, the same to the last bit as a prediction of its model.
    #[must_use]
    pub fn output(&self) -> &[f32] {
        let at = N::VIEWS.last().map_or(0, |view| view.output);
        &self.inspector.arena[at..][..N::Output::LEN]
    }

    /// What the last softmax takes, or the output of a network without one.
    #[must_use]
    pub fn logits(&self) -> &[f32] {
        &self.inspector.arena[N::LOGITS.output..][..N::Output::LEN]
    }

    /// A layer's output, activation included, rows x columns x features.
    ///
    /// # Errors
    /// If there is no layer of that name.
    pub fn feature_maps(&self, layer: &str) -> Result<ArrayView3<'_, f32>, InspectError> {
        let (info, view) = find::<N>(layer)?;
        let shape = sizes(info.output_shape);
        let len: usize = shape.iter().product();
        Ok(array(shape, &self.inspector.arena[view.output..][..len]))
    }

    /// The gradient of a class's logit by the image.
    ///
    /// # Errors
    /// If there is no such class.
    pub fn gradient_of_class(&mut self, class: usize) -> Result<Array3<f32>, InspectError> {
        self.back_from_class(Rule::Gradient, class)
    }

    /// What the network sees of a class in the image: its logit, taken back by a rule.
    ///
    /// # Errors
    /// If there is no such class.
    pub fn back_from_class(
        &mut self,
        rule: Rule,
        class: usize,
    ) -> Result<Array3<f32>, InspectError> {
        check_class::<N>(class)?;
        self.back(rule, N::LOGITS, N::Output::LEN, class, 0);
        Ok(self.input_gradient())
    }

    /// The saliency map: how much each pixel counts for a class, the largest absolute gradient of its
    /// logit over the channels (Simonyan, Vedaldi and Zisserman, "Deep Inside Convolutional
    /// Networks", 2014).
    ///
    /// # Errors
    /// If there is no such class.
    pub fn saliency(&mut self, class: usize) -> Result<Array2<f32>, InspectError> {
        let gradient = self.gradient_of_class(class)?;
        Ok(gradient.map_axis(Axis(2), |pixel| pixel.fold(0.0_f32, |most, g| most.max(g.abs()))))
    }

    /// What a feature of a layer sees at `[row, column]` of its map: its value there, taken back to
    /// the image by guided backpropagation. Zero where nothing excites it. Beyond the field of the
    /// layer at that place all is 0.
    ///
    /// # Errors
    /// If there is no such layer, feature or place.
    pub fn guided(
        &mut self,
        layer: &str,
        feature: usize,
        position: [usize; 2],
    ) -> Result<Array3<f32>, InspectError> {
        self.back_from(Rule::Guided, layer, feature, position)
    }

    /// The same by another rule.
    ///
    /// # Errors
    /// If there is no such layer, feature or place.
    pub fn back_from(
        &mut self,
        rule: Rule,
        layer: &str,
        feature: usize,
        [row, column]: [usize; 2],
    ) -> Result<Array3<f32>, InspectError> {
        let (info, view) = find::<N>(layer)?;
        let [rows, columns, features] = sizes(info.output_shape);
        if row >= rows || column >= columns || feature >= features {
            let layer = info.name;
            return Err(InspectError::Output {
                layer,
                rows,
                columns,
                features,
                feature,
                row,
                column,
            });
        }
        let one = (row * columns + column) * features + feature;
        self.back(rule, view, rows * columns * features, one, 0);
        let mut gradient = self.input_gradient();
        // Winograd's larger tiles leave rounding errors where terms cancel.
        let [rows, columns] = info.field.at([row, column]);
        let sees = |range: &Range<i64>, at| i64::try_from(at).is_ok_and(|at| range.contains(&at));
        for ((row, column, _), value) in gradient.indexed_iter_mut() {
            if !sees(&rows, row) || !sees(&columns, column) {
                *value = 0.0;
            }
        }
        Ok(gradient)
    }

    /// The gradient of a class's logit by a layer's output, rows x columns x features.
    ///
    /// # Errors
    /// If there is no such class or layer, or the layer is a softmax behind the logits.
    pub fn layer_gradient(
        &mut self,
        class: usize,
        layer: &str,
    ) -> Result<Array3<f32>, InspectError> {
        check_class::<N>(class)?;
        let (info, view) = find::<N>(layer)?;
        self.layer_gradient_of(class, info, view)
    }

    fn layer_gradient_of(
        &mut self,
        class: usize,
        info: &LayerInfo,
        view: View,
    ) -> Result<Array3<f32>, InspectError> {
        if view.steps > N::LOGITS.steps {
            return Err(InspectError::AfterScores { layer: info.name });
        }
        self.back(Rule::Gradient, N::LOGITS, N::Output::LEN, class, view.steps);
        let shape = sizes(info.output_shape);
        let len: usize = shape.iter().product();
        Ok(owned(shape, &self.inspector.tape[view.gradient..][..len]))
    }

    /// Where a layer, best the last one before `Flatten` or global pooling, finds a class: Grad-CAM
    /// (Selvaraju et al. 2017), the sum of the layer's maps weighted by the mean gradients of the
    /// class's logit by each, what is negative left out. Rows x columns of the layer.
    ///
    /// # Errors
    /// If there is no such class or layer, or the layer has no rows and columns.
    pub fn grad_cam(&mut self, class: usize, layer: &str) -> Result<Array2<f32>, InspectError> {
        check_class::<N>(class)?;
        let (info, view) = find::<N>(layer)?;
        let &[rows, columns, _] = info.output_shape else {
            return Err(InspectError::NoImage { layer: info.name });
        };
        let gradient = self.layer_gradient_of(class, info, view)?;
        let places = (rows * columns) as f32;
        let weights = gradient.sum_axis(Axis(0)).sum_axis(Axis(0)) / places;
        let maps = self.feature_maps(layer)?;
        Ok(maps.map_axis(Axis(2), |features| features.dot(&weights).max(0.0)))
    }

    fn input_gradient(&self) -> Array3<f32> {
        let gradient = &self.inspector.tape[N::INPUT_GRADIENT..][..N::Input::LEN];
        owned(picture(N::INPUT_SHAPE), gradient)
    }

    /// Takes 1 at place `one` of an output of `len` floats back through all operations from its own
    /// down to number `until`.
    fn back(&mut self, rule: Rule, from: View, len: usize, one: usize, until: usize) {
        let Inspector { mirrored, arena, tape, .. } = &mut *self.inspector;
        // Whoever would write first may lie behind `from`, so that all others add to zeros.
        for (info, view) in N::LAYERS.iter().zip(N::VIEWS) {
            let len: usize = info.output_shape.iter().product();
            tape[view.gradient..][..len].fill(0.0);
        }
        tape[N::INPUT_GRADIENT..][..N::Input::LEN].fill(0.0);
        tape[from.gradient..][..len].fill(0.0);
        tape[from.gradient + one] = 1.0;
        let mut let_through = (rule == Rule::Deconvolution).then(|| arena.clone());
        for step in (until..from.steps).rev() {
            if rule != Rule::Gradient {
                rectify::<N>(step, tape, let_through.as_mut());
            }
            let arena = let_through.as_mut().unwrap_or(arena);
            N::look_back(step, mirrored, arena, tape);
        }
    }
}

/// Before the gradient goes through an operation that ends in a relu: leaves out what is negative,
/// and in `let_through` has the relu let all through. Its output is read by operations behind it
/// alone, which are done.
fn rectify<N: Inspect>(step: usize, tape: &mut [f32], let_through: Option<&mut Buffer>) {
    let made = |view: &View| view.rectified && view.steps == step + 1;
    let Some(layer) = N::VIEWS.iter().position(made) else { return };
    let view = N::VIEWS[layer];
    let len: usize = N::LAYERS[layer].output_shape.iter().product();
    for gradient in &mut tape[view.gradient..][..len] {
        *gradient = gradient.max(0.0);
    }
    if let Some(arena) = let_through {
        arena[view.output..][..len].fill(1.0);
    }
}

fn check_class<N: Inspect>(class: usize) -> Result<(), InspectError> {
    let outputs = N::Output::LEN;
    if class < outputs { Ok(()) } else { Err(InspectError::Class { class, outputs }) }
}

impl<N: Inspect> fmt::Debug for Seen<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seen<{}>({:?})", N::NAME, self.output())
    }
}
