//! A small convolutional network, declared in `specs/mnist_cnn.cnn`, learns handwritten digits.
//!
//! ```text
//! cargo run --release --example mnist_cnn
//! ```

mod digits;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    digits::run::<cnn::MnistCnn>()
}
