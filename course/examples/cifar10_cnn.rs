//! A convolutional network, declared in `specs/cifar10_cnn.cnn`, learns ten kinds of photographs, and
//! draws what it takes some of them for.
//!
//! ```text
//! cargo run --release --example cifar10_cnn -- --data DIR
//! cargo run --release --example cifar10_cnn --features download -- --download
//! ```

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use bpaf::{Parser as _, construct, long};
use cnn::Cifar10Cnn;
use cnn_course::{classes, predictions};
use cnn_pictures::{Format, encode};
use cnn_runtime::Model;
use cnn_runtime::data::cifar10::{self, Cifar10};
use cnn_runtime::data::{DataError, Dataset};

#[path = "../../examples/training/mod.rs"]
mod training;

use training::{Sets, Training};

/// Said where there is no data.
const ORIGIN: &str = "CIFAR-10 comes from https://www.cs.toronto.edu/~kriz/cifar.html (the \"binary \
version\"), carries no licence and is not shipped here: unpack it and pass its folder with `--data \
DIR`, or build with `--features download` and pass `--download`.";

/// How many training images are held out, as long as that is at most a tenth of them.
const VALIDATION: usize = 5_000;

/// Trains on CIFAR-10.
#[derive(Debug)]
struct Flags {
    data: PathBuf,
    #[cfg(feature = "download")]
    download: bool,
    #[cfg(feature = "download")]
    mirror: Vec<String>,
    training: Training,
}

impl Flags {
    fn parse() -> Self {
        let data = long("data")
            .help("Folder with `data_batch_1.bin` and so on, or its parent; `data` unless given")
            .argument("DIR")
            .fallback("data".into());
        let training = Training::flags();
        #[cfg(feature = "download")]
        let flags = {
            let download = long("download")
                .help("Fetches the set into the folder of `--data` (170 MB) unless it is there")
                .switch();
            let mirror = long("mirror")
                .help("An address of `cifar-10-binary.tar.gz` to try first; may be given more than once")
                .argument("URL")
                .many();
            construct!(Self { data, download, mirror, training })
        };
        #[cfg(not(feature = "download"))]
        let flags = construct!(Self { data, training });
        flags.to_options().run()
    }
}

fn main() -> ExitCode {
    match run(&Flags::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(DataError::Missing { .. }) = error.downcast_ref() {
                eprintln!("\n{ORIGIN}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<(), Box<dyn Error>> {
    let Cifar10 { train, test } = load(flags)?;
    print!("{}", Cifar10Cnn::SUMMARY);

    let held_out = VALIDATION.min(train.len() / 10);
    let (validation, rest) = train.examples().split_at(held_out);
    println!(
        "\n{} training, {} validation and {} test images of {:?} from {}",
        rest.len(),
        validation.len(),
        test.len(),
        Cifar10Cnn::INPUT_SHAPE,
        flags.data.display()
    );
    let sets = Sets { train: rest, validation, test: test.examples() };
    let model = flags.training.run::<Cifar10Cnn>(&sets)?;
    draw(&model, &test, &flags.training)
}

fn load(flags: &Flags) -> Result<Cifar10, Box<dyn Error>> {
    #[cfg(feature = "download")]
    if flags.download {
        let download = flags
            .mirror
            .iter()
            .rev()
            .fold(cnn_runtime::data::download::Download::cifar10(), |download, mirror| {
                download.mirror_first(mirror)
            });
        return Ok(cifar10::load(download.cifar10_into(&flags.data)?)?);
    }
    if !flags.data.exists() {
        return Err(format!("there is no folder {}\n\n{ORIGIN}", flags.data.display()).into());
    }
    Ok(cifar10::load(&flags.data)?)
}

/// Draws what some test images were taken for, and what they are.
fn draw(model: &Model<Cifar10Cnn>, test: &Dataset, flags: &Training) -> Result<(), Box<dyn Error>> {
    let outputs = model.predict(test.examples().inputs)?;
    let picture = predictions(test, &classes(&outputs), flags.seed)?;
    let path = flags.out.join("cifar10_cnn.png");
    std::fs::write(&path, encode(&picture, Format::Png)?)
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    println!("Predictions: {}", path.display());
    Ok(())
}
