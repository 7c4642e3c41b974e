//! The network that guesses, and what it shows of itself.

use std::error::Error;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cnn_runtime::Model;
use cnn_runtime::data::mnist;
use cnn_runtime::inspect::{InspectError, Inspector};
use cnn_runtime::trainer::Fit;
use ndarray::ArrayView3;
use serde_json::{Value, json};

cnn_runtime::cnn! {
    /// Small enough that all of its maps fit on a page.
    model Digits {
        input(28, 28, 1);

        Conv2D(16, kernel_size = 3, padding = same, activation = relu);
        MaxPooling2D(2);
        Conv2D(32, kernel_size = 3, padding = same, activation = relu);
        MaxPooling2D(2);
        Flatten;
        Dense(64, activation = relu);
        Dropout(0.3);
        Dense(10, activation = softmax);

        inspect;
        compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
        fit(batch_size = 64, epochs = 3);
    }
}

/// Pixels of a digit, 28 x 28.
pub const PIXELS: usize = 28 * 28;

/// Trains a fresh network on the digits in `dir`, with a progress bar, and says in a sentence how well
/// it did.
///
/// # Errors
/// If the digits cannot be read.
pub fn train(dir: &Path, epochs: usize) -> Result<(Model<Digits>, String), Box<dyn Error>> {
    let digits = mnist::load(dir)?;
    let mut model = Digits::new(1);
    model.fit(&digits.train.examples(), Fit::new().epochs(epochs).seed(1))?;
    let test = model.evaluate(&digits.test.examples())?;
    let about = format!(
        "Trained on {} digits; of {} others it knows {:.1} %.",
        digits.train.len(),
        digits.test.len(),
        100.0 * test.accuracy
    );
    println!("{about}");
    Ok((model, about))
}

/// The probabilities and all layers' feature maps for a digit, light on dark, one byte a pixel.
///
/// A layer's `maps` are bytes in base64, feature after feature, each row after row: 0 stands for
/// nothing (or less), 255 for the layer's `largest` value.
///
/// # Errors
/// If `digit` is not [`PIXELS`] long.
pub fn look(inspector: &mut Inspector<Digits>, digit: &[u8]) -> Result<Value, InspectError> {
    let image: Vec<f32> = digit.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
    let seen = inspector.run(&image)?;
    let layers = Inspector::<Digits>::layers().iter().map(|layer| {
        let maps = seen.feature_maps(layer.name)?;
        let (rows, columns, features) = maps.dim();
        let largest = maps.iter().copied().fold(0.0, f32::max);
        Ok(json!({
            "name": layer.name,
            "kind": layer.kind,
            "rows": rows,
            "columns": columns,
            "features": features,
            "params": layer.params,
            "largest": largest,
            "maps": STANDARD.encode(bytes(&maps, largest)),
        }))
    });
    let layers = layers.collect::<Result<Vec<_>, InspectError>>()?;
    Ok(json!({ "probabilities": seen.output(), "layers": layers }))
}

fn bytes(maps: &ArrayView3<'_, f32>, largest: f32) -> Vec<u8> {
    let scale = if largest > 0.0 { 255.0 / largest } else { 0.0 };
    let by_feature = maps.view().permuted_axes([2, 0, 1]);
    #[expect(clippy::cast_sign_loss, reason = "saturates: what is negative becomes 0")]
    by_feature.iter().map(|&value| (value * scale).round() as u8).collect()
}
