//! A network without convolutions, declared right here, learns handwritten digits.
//!
//! ```text
//! cargo run --release --example mnist_mlp
//! ```

mod digits;

cnn_runtime::cnn! {
    /// Two hidden layers on raw pixels.
    model MnistMlp {
        input(28, 28);

        Flatten;
        Dense(512, activation = relu);
        Dense(512, activation = relu);
        Dense(10, activation = softmax);

        compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
        fit(batch_size = 64, epochs = 10);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    digits::run::<MnistMlp>()
}
