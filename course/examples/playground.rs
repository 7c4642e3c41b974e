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

use bpaf::{Parser as _, construct, long};
use cnn_course::SAMPLE;
use cnn_course::playground::network::{Digits, train};
use cnn_course::playground::server::Playground;
use cnn_runtime::{Model, checkpoint};

/// What the command line says.
#[derive(Debug)]
struct Flags {
    data: PathBuf,
    epochs: usize,
    weights: Option<PathBuf>,
    save: Option<PathBuf>,
    port: u16,
}

impl Flags {
    fn parse() -> Self {
        let data = long("data")
            .help("Folder with the four IDX files of MNIST; the shipped sample unless given")
            .argument("DIR")
            .fallback(SAMPLE.into());
        let epochs = long("epochs")
            .help("Passes over the training digits")
            .argument("N")
            .fallback(3)
            .display_fallback();
        let weights = long("weights")
            .help("Weights to start with, in place of training")
            .argument("FILE")
            .optional();
        let save = long("save")
            .help("Where to keep the trained weights, for `--weights`")
            .argument("FILE")
            .optional();
        let port = long("port")
            .help("Port on this machine; 0 takes a free one")
            .argument("PORT")
            .fallback(8080)
            .display_fallback();
        construct!(Self { data, epochs, weights, save, port })
            .guard(
                |flags| flags.weights.is_none() || flags.save.is_none(),
                "`--weights` and `--save` exclude each other",
            )
            .to_options()
            .descr("Draw a digit and see what the network makes of it, layer by layer.")
            .run()
    }
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
