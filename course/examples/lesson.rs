//! An introduction to convolutional networks as one HTML page, with pictures of networks that this
//! program trains in the meantime.
//!
//! ```text
//! cargo run --release --example lesson -- [--data DIR] [--out lesson/]
//! ```

use std::error::Error;
use std::path::PathBuf;

use bpaf::{OptionParser, Parser as _, construct, long};
use cnn_course::book::{self, Options};

fn flags() -> OptionParser<Options> {
    let data = long("data")
        .help(
            "Folder with MNIST's four files (or `mnist/`) and CIFAR-10's batches (or \
             `cifar-10-batches-bin/`); without it the shipped digits, and no photographs",
        )
        .argument("DIR")
        .optional();
    let out = long("out")
        .help("Folder for the page and the best weights; `lesson` unless given")
        .argument("DIR")
        .fallback(PathBuf::from("lesson"));
    let epochs = long("epochs")
        .help("Passes over the training images")
        .argument("N")
        .fallback(10)
        .display_fallback();
    let seed = long("seed")
        .help("For the fresh weights, the order of the images and what is picked by chance")
        .argument("N")
        .fallback(1)
        .display_fallback();
    let most = bpaf::pure(usize::MAX);
    construct!(Options { data, out, epochs, seed, most })
        .to_options()
        .descr("An introduction to convolutional networks, as a page made on your own machine.")
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = flags().run();
    let out = &options.out;
    std::fs::create_dir_all(out)
        .map_err(|error| format!("cannot make the folder {}: {error}", out.display()))?;
    let page = out.join("index.html");
    let html = book::write(&options, &mut std::io::stdout())?;
    std::fs::write(&page, html)
        .map_err(|error| format!("cannot write {}: {error}", page.display()))?;
    println!("\nRead {}", page.display());
    Ok(())
}
