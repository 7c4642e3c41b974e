//! An introduction to convolutional networks as one HTML page, with pictures of networks that this
//! program trains in the meantime.
//!
//! ```text
//! cargo run --release --example lesson -- [--data DIR] [--out lesson/]
//! ```

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use cnn_course::book::{self, Options};

/// An introduction to convolutional networks, as a page made on your own machine.
#[derive(Debug, Parser)]
struct Flags {
    /// Folder with MNIST's four files (or `mnist/`) and CIFAR-10's batches (or `cifar-10-batches-bin/`);
    /// without it the shipped digits, and no photographs.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder for the page and the best weights.
    #[arg(long, value_name = "DIR", default_value = "lesson")]
    out: PathBuf,
    /// Passes over the training images.
    #[arg(long, default_value_t = 10)]
    epochs: usize,
    /// For the fresh weights, the order of the images and what is picked by chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Flags { data, out, epochs, seed } = Flags::parse();
    std::fs::create_dir_all(&out)
        .map_err(|error| format!("cannot make the folder {}: {error}", out.display()))?;
    let page = out.join("index.html");
    let options = Options { data, out, epochs, seed, most: usize::MAX };
    let html = book::write(&options, &mut std::io::stdout())?;
    std::fs::write(&page, html)
        .map_err(|error| format!("cannot write {}: {error}", page.display()))?;
    println!("\nRead {}", page.display());
    Ok(())
}
