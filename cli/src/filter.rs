//! `cnn filter`: pictures in, filtered pictures out.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use cnn_dsl::diagnostics::did_you_mean;
use cnn_pictures::filter::{Kernel, NAMED, filter2d};
use cnn_pictures::image::RgbImage;
use cnn_pictures::{Error, Format, Palette, Picture, decode, encode, grey, sample_grid};

use crate::{Outcome, Status, write};

/// Longest file that is read: far more than any picture that fits into memory.
const MAX_BYTES: u64 = 1 << 28;

const KERNEL_HELP: &str = "Kernel by name (sobel_x, sobel_y, blur, sharpen, edge, emboss) or by \
rows, as in '[[1, 2], [3, 4]]'; may be repeated";

const OUT_HELP: &str = "File to write, .png or .jpg; with several kernels their names are added, as \
in out_sobel_x.png";

#[derive(Args)]
pub struct Request {
    /// Picture to filter, PNG or JPEG
    image: PathBuf,
    // Underscores in a documentation comment want backticks, which help on a terminal does not.
    #[arg(short, long = "kernel", value_name = "NAME|ROWS", required = true, help = KERNEL_HELP)]
    kernels: Vec<String>,
    #[arg(short, long, value_name = "FILE", help = OUT_HELP)]
    out: PathBuf,
    /// Filter the picture's brightness in place of its colours
    #[arg(long)]
    grey: bool,
    /// Write one picture with the original and all results, each with its title
    #[arg(long)]
    together: bool,
    /// Replace files that are there
    #[arg(long)]
    force: bool,
}

/// A kernel with what its results are called.
struct Named {
    /// In a file's name: `sobel_x`, `kernel_2`.
    label: String,
    /// Above a picture.
    title: String,
    kernel: Kernel,
}

/// Filters a picture, and prints the names of the files that hold the results.
pub fn run(request: &Request) -> Outcome {
    match filter(request) {
        Ok(written) => Outcome::right(written),
        Err(complaint) => Outcome::failed(Status::Unusable, &format!("error: {complaint}")),
    }
}

fn filter(request: &Request) -> Result<String, String> {
    let kernels = kernels(&request.kernels)?;
    let format = format(&request.out)?;
    let single = request.together || kernels.len() == 1;
    let paths: Vec<PathBuf> = if single {
        vec![request.out.clone()]
    } else {
        kernels.iter().map(|named| labelled(&request.out, &named.label)).collect()
    };
    if !request.force {
        // Before any work, so that either all results are new or none is written.
        if let Some(path) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
            return Err(taken(path));
        }
    }
    let shown = request.image.display();
    let bytes = read(&request.image).map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    let mut image = decode(&bytes).map_err(|error| format!("`{shown}`: {error}"))?;
    let said = |error: Error| format!("`{shown}`: {error}");
    if request.grey {
        image = grey(Picture::of(&image).map_err(said)?, Palette::Grey);
    }
    let picture = Picture::of(&image).map_err(said)?;
    if request.together {
        let sheet = together(picture, &kernels).map_err(said)?;
        return save(&paths[0], &sheet, format, request.force);
    }
    // One result at a time: several of a large photograph would fill the memory.
    kernels.iter().zip(&paths).try_fold(String::new(), |written, (named, path)| {
        let line = save(path, &filter2d(picture, &named.kernel), format, request.force)?;
        Ok(written + &line)
    })
}

fn kernels(texts: &[String]) -> Result<Vec<Named>, String> {
    let mut kernels: Vec<Named> = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        let text = text.trim();
        let kernel = text.parse().map_err(|error| explained(&error))?;
        let written = text.starts_with('[');
        let number = i + 1;
        let label = if written { format!("kernel_{number}") } else { text.to_owned() };
        if kernels.iter().any(|named| named.label == label) {
            return Err(format!("kernel `{label}` is given twice"));
        }
        // Long rows would make long titles.
        let short = !written || text.chars().count() <= 40;
        let title = if short { text.to_owned() } else { format!("kernel {number}") };
        kernels.push(Named { label, title, kernel });
    }
    Ok(kernels)
}

fn explained(error: &Error) -> String {
    let Error::UnknownKernel(name) = error else { return error.to_string() };
    let names = NAMED.iter().map(|(name, _)| *name);
    let help = did_you_mean(name, names.clone())
        .unwrap_or_else(|| format!("there are {}", names.collect::<Vec<_>>().join(", ")));
    format!("{error}\n  = help: {help}; rows are written as [[1, 2], [3, 4]]")
}

fn format(path: &Path) -> Result<Format, String> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.and_then(Format::of_extension).ok_or_else(|| {
        let shown = path.display();
        format!("`{shown}` does not say how to write it\n  = help: end it with .png or .jpg")
    })
}

/// `edges.png` for `sobel_x` is `edges_sobel_x.png`.
fn labelled(path: &Path, label: &str) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("_{label}."));
    name.push(path.extension().unwrap_or_default());
    path.with_file_name(name)
}

/// The original and what the kernels make of it, in rows of three.
fn together(picture: Picture<'_>, kernels: &[Named]) -> Result<RgbImage, Error> {
    const SIDE: usize = 512;
    let side = picture.height().max(picture.width()).clamp(128, SIDE);
    let results: Vec<RgbImage> =
        kernels.iter().map(|named| filter2d(picture, &named.kernel)).collect();
    let mut pictures = vec![picture];
    let mut titles = vec!["original"];
    for (result, named) in results.iter().zip(kernels) {
        pictures.push(Picture::of(result)?);
        titles.push(&named.title);
    }
    sample_grid(&pictures, &titles, 3, side)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // A device could go on for ever.
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("it is longer than {MAX_BYTES} bytes")));
    }
    Ok(bytes)
}

/// Writes a picture, and gives its line for the output.
fn save(path: &Path, image: &RgbImage, format: Format, force: bool) -> Result<String, String> {
    let shown = path.display();
    let bytes = encode(image, format).map_err(|error| format!("`{shown}`: {error}"))?;
    let done = if force { write::replace(path, bytes) } else { write::create(path, bytes) };
    done.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => taken(path),
        _ => format!("cannot write `{shown}`: {error}"),
    })?;
    Ok(format!("{shown}\n"))
}

fn taken(path: &Path) -> String {
    format!("`{}` is there already\n  = help: --force replaces it", path.display())
}
