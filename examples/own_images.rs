//! A small convolutional network learns to tell the images of one's own folders apart.
//!
//! ```text
//! cargo run --release --example own_images --features images -- --data DIR [IMAGE...]
//! ```
//!
//! `DIR` holds a folder for each class, named after it, with PNG or JPEG images of any size. The
//! images that follow are classified by the trained network.

use std::error::Error;
use std::path::PathBuf;

use bpaf::{OptionParser, Parser as _, construct, long, positional};
use cnn_runtime::data::Inputs;
use cnn_runtime::data::images::{Images, Sizing};

mod training;

use training::{Sets, Training};

cnn_runtime::cnn! {
    /// For up to ten classes: change the last number for more.
    model OwnImages {
        input(32, 32, 3);

        Conv2D(16, 3, padding = same, activation = relu);
        MaxPooling2D(2);
        Conv2D(32, 3, padding = same, activation = relu);
        MaxPooling2D(2);
        Flatten;
        Dropout(0.3);
        Dense(64, activation = relu);
        Dense(10, activation = softmax);

        compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
        fit(batch_size = 16, epochs = 20);
    }
}

/// Trains on a folder of images.
#[derive(Debug)]
struct Flags {
    data: PathBuf,
    images: Vec<PathBuf>,
    training: Training,
}

impl Flags {
    fn parser() -> OptionParser<Self> {
        let data =
            long("data").help("Folder with a subfolder of images for each class").argument("DIR");
        let images = positional("IMAGE").help("Images to classify after training").many();
        let training = Training::flags();
        construct!(Self { data, training, images }).to_options()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    for line in run(&Flags::parser().run())? {
        println!("{line}");
    }
    Ok(())
}

/// A line for each image to classify.
fn run(flags: &Flags) -> Result<Vec<String>, Box<dyn Error>> {
    let (height, width) = (OwnImages::INPUT_SHAPE[0], OwnImages::INPUT_SHAPE[1]);
    let images = Images::new(height as u32, width as u32).sizing(Sizing::CropAndResize);
    let all = images.load(&flags.data)?;
    let names = all.class_names().to_vec();
    let most = OwnImages::OUTPUT_SHAPE[0];
    if names.len() > most {
        let text =
            format!("{} classes: the model has {most} outputs, change its text", names.len());
        return Err(text.into());
    }
    // Read before training, so that a wrong name does not cost the time of a training.
    let asked = flags.images.iter().map(|path| images.read(path));
    let asked = asked.collect::<Result<Vec<_>, _>>()?;

    print!("{}", OwnImages::SUMMARY);
    // A fifth of each class for the test, a fifth of the rest to find the best weights.
    let (rest, test) = all.split_stratified(0.2, flags.training.seed)?;
    let (train, validation) = rest.split_stratified(0.2, flags.training.seed)?;
    println!(
        "\n{} training, {} validation and {} test images of {}",
        train.len(),
        validation.len(),
        test.len(),
        names.join(", ")
    );
    let sets =
        Sets { train: train.examples(), validation: validation.examples(), test: test.examples() };
    let model = flags.training.run::<OwnImages>(&sets)?;

    let mut lines = Vec::new();
    for (path, image) in flags.images.iter().zip(&asked) {
        let bytes = image.as_slice().ok_or("the pixels are not in order")?;
        let outputs = model.predict(Inputs::Bytes(bytes))?;
        let (name, share) = names
            .iter()
            .zip(outputs)
            .max_by(|(_, a), (_, b)| a.total_cmp(b))
            .ok_or("there are no classes")?;
        lines.push(format!("{}: {name} ({:.1}%)", path.display(), 100.0 * share));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use cnn_runtime::rng::Rng;
    use image::{Rgb, RgbImage};

    use super::*;

    /// A disc, a cross or stripes, of any size, place and colours.
    fn draw(class: usize, rng: &mut Rng) -> RgbImage {
        let (width, height) = (32 + rng.below(30) as u32, 32 + rng.below(30) as u32);
        let centre = (width as f32 / 2.0, height as f32 / 2.0);
        let mut colour = |low: usize| Rgb([0; 3].map(|_| (low + rng.below(100)) as u8));
        let (dark, light) = (colour(0), colour(150));
        RgbImage::from_fn(width, height, |x, y| {
            let (dx, dy) = ((x as f32 - centre.0).abs(), (y as f32 - centre.1).abs());
            let inside = match class {
                0 => dx.min(dy) < 4.0,
                1 => dx.hypot(dy) < 12.0,
                _ => x / 6 % 2 == 0,
            };
            if inside { light } else { dark }
        })
    }

    fn sample(dir: &Path) {
        let mut rng = Rng::new(1, 0);
        for (class, name) in ["cross", "disc", "stripes"].into_iter().enumerate() {
            std::fs::create_dir_all(dir.join(name)).unwrap();
            for n in 0..40 {
                let extension = if n % 2 == 0 { "png" } else { "jpg" };
                draw(class, &mut rng).save(dir.join(format!("{name}/{n}.{extension}"))).unwrap();
            }
        }
    }

    fn flags(arguments: &[&Path]) -> Flags {
        let options = ["--verbose", "0", "--epochs", "8", "--data"].map(AsRef::as_ref);
        let all: Vec<&OsStr> =
            options.into_iter().chain(arguments.iter().map(|path| path.as_os_str())).collect();
        Flags::parser().run_inner(all.as_slice()).unwrap()
    }

    #[test]
    fn shapes_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let (data, out) = (dir.path().join("data"), dir.path().join("out"));
        sample(&data);
        let mut rng = Rng::new(2, 0);
        let fresh =
            ["cross", "disc", "stripes"].map(|name| dir.path().join(format!("{name}?.png")));
        for (class, path) in fresh.iter().enumerate() {
            draw(class, &mut rng).save(path).unwrap();
        }
        let lines =
            run(&flags(&[&data, Path::new("--out"), &out, &fresh[0], &fresh[1], &fresh[2]]));
        for (line, path) in lines.unwrap().iter().zip(&fresh) {
            let name = path.file_name().unwrap().to_str().unwrap().split('?').next().unwrap();
            assert!(line.starts_with(&format!("{}: {name} (", path.display())), "{line}");
        }
        let missing = dir.path().join("none.png");
        let error = run(&flags(&[&data, Path::new("--out"), &out, &missing])).unwrap_err();
        assert_eq!(error.to_string(), format!("{}: not found", missing.display()));
    }
}
