//! A program that uses its network in every way; a mistake in the declaration must not show here.

use cnn_runtime::data::{Examples, Inputs, Targets};
use cnn_runtime::trainer::Fit;
use cnn_runtime::{Model, Network, Settings, Trainer, checkpoint};

cnn_runtime::cnn! {
    /// To be given a mistake.
    model Net {
        input(28, 28, 1);
        Conv2D(8, 3, activation = relu);
        Conv2D(8, 3, activation = relu);
        MaxPooling2D(2);
        Flatten;
        Dense(10, activation = softmax);
        compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
    }
}

const BYTES: u64 = Net::WEIGHTS_BYTES + Net::INFERENCE_BYTES + Net::TRAINING_BYTES;

struct Reader {
    model: Model<Net>,
    scores: [f32; 10],
}

impl Reader {
    fn read(&mut self, image: &[f32]) -> usize {
        self.scores.copy_from_slice(&self.model.predictor().predict(image)[..]);
        (1..10).fold(0, |best, i| if self.scores[i] > self.scores[best] { i } else { best })
    }
}

fn train(examples: &Examples<'_>) -> Result<Model<Net>, Box<dyn std::error::Error>> {
    let mut model = Net::new(1);
    let mut trainer = Trainer::new(&mut model, Settings::of::<Net>());
    println!("{:?}", trainer.step(examples, &[0]));
    model.fit(examples, Fit::new().epochs(1))?;
    checkpoint::save(&model, "net.safetensors")?;
    println!("{:?}", model.evaluate(examples)?);
    Ok(model)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}{:?}{:?}", Net::SUMMARY, Net::INPUT_SHAPE, <Net as Network>::LAYERS);
    println!("{} {} {BYTES}", Net::PARAMS + Net::NON_TRAINABLE_PARAMS, Net::MACS);
    let image = [0.5; 784];
    let inputs = Inputs::Floats(&image);
    let model = train(&Examples::from_slices(inputs, Targets::Classes(&[3]), 1)?)?;
    println!("{:?}", model.predict(inputs)?);
    println!("{}", Reader { model, scores: [0.0; 10] }.read(&image));
    Ok(())
}
