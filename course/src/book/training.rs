//! Training the digits' network, and how it does.

use std::io::{self, Write};
use std::path::PathBuf;

use cnn_pictures::{History, confusion_matrix, count_confusions, training_curves};
use cnn_runtime::data::{Dataset, Examples};
use cnn_runtime::trainer::{self, Fit, ModelCheckpoint, Monitor, Verbose};
use cnn_runtime::{Model, Network, checkpoint};

use super::networks::MnistCnn;
use super::page::Page;
use super::{Options, Result, Sets};
use crate::predictions::{classes, names, predictions};

/// Writes to two places.
struct Both<'a> {
    kept: Vec<u8>,
    shown: &'a mut (dyn Write + Send),
}

impl Write for Both<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.kept.extend_from_slice(bytes);
        self.shown.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.shown.flush()
    }
}

/// A trained network with its best weights.
pub struct Trained<N: Network> {
    pub model: Model<N>,
    /// The lines that training printed.
    pub lines: String,
    pub history: trainer::History,
    /// The file of the best weights.
    pub weights: PathBuf,
}

/// Trains a fresh network, and loads back the weights with the lowest validation loss.
pub fn train<N: Network>(
    train: Examples<'_>,
    validation: Examples<'_>,
    options: &Options,
    log: &mut (dyn Write + Send),
) -> Result<Trained<N>> {
    let weights = options.out.join(format!("{}.safetensors", N::NAME));
    let best = ModelCheckpoint::new(&weights).monitor(Monitor::ValLoss).save_best_only(true);
    let mut both = Both { kept: Vec::new(), shown: log };
    let fit = Fit::new()
        .epochs(options.epochs)
        .seed(options.seed)
        .validation_data(validation)
        .checkpoint(best)
        .verbose(Verbose::Line)
        .log_to(&mut both);
    let mut model = Model::<N>::new(options.seed);
    let history = model.fit(&train, fit)?;
    let lines = String::from_utf8_lossy(&both.kept).into_owned();
    // With losses that are no numbers, nothing was saved.
    if weights.exists() {
        checkpoint::load(&mut model, &weights)?;
    }
    Ok(Trained { model, lines, history, weights })
}

/// The log, the curves, and how the network does on the test set.
pub fn show<N: Network>(
    page: &mut Page,
    trained: &Trained<N>,
    test: &Dataset,
    options: &Options,
) -> Result<()> {
    page.log(&trained.lines);
    let values = |monitor| -> Vec<f32> {
        trained.history.values(monitor).map(|value| value as f32).collect()
    };
    let curves = training_curves(&History {
        loss: &values(Monitor::Loss),
        val_loss: &values(Monitor::ValLoss),
        accuracy: &values(Monitor::Accuracy),
        val_accuracy: &values(Monitor::ValAccuracy),
    })?;
    page.drawing(
        &curves,
        "Loss and accuracy by epoch. Where the training loss still falls and the validation loss only \
         rises, the network has begun to learn its training images by heart.",
    );
    let found = trained.model.evaluate(&test.examples())?;
    page.say(&format!(
        "The best weights lie in `{}`. With them the network is right about {:.2} % of {} test images.",
        trained.weights.display(),
        100.0 * found.accuracy,
        found.samples
    ));

    let outputs = trained.model.predict(test.examples().inputs)?;
    let predicted = classes(&outputs);
    let truth: Vec<usize> = test.labels().iter().map(|&label| label as usize).collect();
    let names = names(test);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    page.picture(
        &predictions(test, &predicted, options.seed)?,
        "32 test images, drawn by chance: predicted (true), blue where right and red where wrong.",
    )?;
    let counts = count_confusions(&predicted, &truth, names.len())?;
    page.drawing(
        &confusion_matrix(&counts, &names)?,
        "What is taken for what: true classes in rows, predicted ones in columns.",
    );
    Ok(())
}

/// Trains the digits' network; it is looked into later on.
pub fn chapter(
    page: &mut Page,
    digits: &Sets,
    options: &Options,
    log: &mut (dyn Write + Send),
) -> Result<Model<MnistCnn>> {
    let (rest, validation) = digits.train.examples().split_last(0.1);
    page.chapter("Training on digits");
    page.say(&format!(
        "At first the weights are random, and so are the answers. Training shows the network 64 digits at \
         a time and moves every weight a little to where the loss, the categorical crossentropy, \
         becomes smaller; how far, RMSprop decides (learning rate 0.001, rho 0.9, epsilon 1e-7). Here \
         {} digits were gone through {} times, in a new order each time, and after each pass {} others \
         told how well it went. Whenever the loss on those was lower than ever, the weights were saved.",
        rest.len(),
        options.epochs,
        validation.len()
    ));
    let trained = train::<MnistCnn>(rest, validation, options, log)?;
    show(page, &trained, &digits.test, options)?;
    if digits.train.len() < 60_000 {
        page.say(
            "With the 60,000 training digits of the full MNIST, ten passes bring this network to about \
             99 %: `cargo run --release --example mnist_cnn -- --data DIR`.",
        );
    }
    Ok(trained.model)
}
