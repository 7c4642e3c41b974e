//! Draw a digit and see what the network makes of it, layer by layer.
//!
//! ```text
//! cargo run --release --example playground
//! ```
//!
//! Then open the address that it prints. Only this machine can reach it, and the page fetches nothing
//! from elsewhere.

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use cnn_course::SAMPLE;
use cnn_course::playground::network::{Digits, train};
use cnn_course::playground::server::Playground;
use cnn_runtime::{Model, checkpoint};

/// Draw a digit and see what the network makes of it, layer by layer.
#[derive(Debug, Parser)]
struct Flags {
    /// Folder with the four IDX files of MNIST; the shipped sample unless given.
    #[arg(long, value_name = "DIR", default_value = SAMPLE, hide_default_value = true)]
    data: PathBuf,
    /// Passes over the training digits.
    #[arg(long, default_value_t = 3)]
    epochs: usize,
    /// Weights to start with, in place of training.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Where to keep the trained weights, for `--weights`.
    #[arg(long, value_name = "FILE", conflicts_with = "weights")]
    save: Option<PathBuf>,
    /// Port on this machine; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

fn main() -> Result<(), Box<dyn Error>> {
    let flags = Flags::parse();
    let (model, about) = prepare(&flags)?;
    if let Some(path) = &flags.save {
        checkpoint::save(&model, path)?;
    }
    let playground = Playground::start(&model, &about, flags.port)?;
    println!("Draw at http://{} (Ctrl+C ends it)", playground.address());
    playground.wait();
    Ok(())
}

/// The model, and a sentence on it.
fn prepare(flags: &Flags) -> Result<(Model<Digits>, String), Box<dyn Error>> {
    if let Some(path) = &flags.weights {
        let mut model = Digits::new(0);
        checkpoint::load(&mut model, path)?;
        return Ok((model, format!("With the weights of {}.", path.display())));
    }
    println!("Training on the digits of {}", flags.data.display());
    train(&flags.data, flags.epochs)
}
