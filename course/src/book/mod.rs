//! The lesson, chapter by chapter.

mod convolution;
mod filters;
mod layers;
pub mod networks;
mod page;
mod photographs;
mod training;

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};

use cnn_pictures::{digit_values, sample_grid};
use cnn_runtime::data::{DataError, Dataset, cifar10, mnist};

use crate::SAMPLE;
use crate::predictions::pictures;
use page::Page;

/// What the page is made from.
pub struct Options {
    /// Where full data sets are, if anywhere.
    pub data: Option<PathBuf>,
    /// Where weights go.
    pub out: PathBuf,
    /// Passes over the training images.
    pub epochs: usize,
    /// For all that is drawn by chance.
    pub seed: u64,
    /// At most so many training and test images are used.
    pub most: usize,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A data set to learn, and its origin.
struct Sets {
    train: Dataset,
    test: Dataset,
    from: String,
}

/// Makes the page, and says on `log` how far it is.
///
/// # Errors
/// If data that is there cannot be read, or weights cannot be saved.
pub fn write(options: &Options, log: &mut (dyn Write + Send)) -> Result<String> {
    let digits = digits(options)?;
    let photographs = photographs(options)?;
    let mut page = Page::default();

    step(log, "1/7 the data");
    data(&mut page, &digits, photographs.as_ref())?;
    step(log, "2/7 what a convolution does");
    convolution::chapter(&mut page)?;
    step(log, "3/7 the networks");
    convolution::networks(&mut page)?;
    step(log, "4/7 training on digits");
    let model = training::chapter(&mut page, &digits, options, log)?;
    step(log, "5/7 photographs");
    photographs::chapter(&mut page, photographs.as_ref(), options, log)?;
    step(log, "6/7 filters");
    filters::chapter(&mut page)?;
    step(log, "7/7 what the layers learned");
    layers::chapter(&mut page, &model, &digits)?;

    Ok(page.finish(
        "Convolutional networks, from pixels to features",
        "An introduction in seven chapters. What is computed on this page was computed by the machine that \
         made it, much of it by networks that it trained in the meantime.",
    ))
}

/// That nobody reads the log is no reason to stop.
fn step(log: &mut (dyn Write + Send), what: &str) {
    let _ = writeln!(log, "{what}").and_then(|()| log.flush());
}

fn limited(set: Dataset, most: usize) -> Dataset {
    if set.len() <= most { set } else { set.split_at(most).0 }
}

fn digits(options: &Options) -> Result<Sets> {
    let given = options.data.as_deref().map(|dir| (dir, mnist::load(dir)));
    let (dir, set) = match given {
        Some((_, Err(DataError::Missing { .. }))) | None => {
            (Path::new(SAMPLE), mnist::load(SAMPLE)?)
        }
        Some((dir, set)) => (dir, set?),
    };
    let from = if dir == Path::new(SAMPLE) {
        "the sample of MNIST that ships with the project".to_owned()
    } else {
        dir.display().to_string()
    };
    let (train, test) = (limited(set.train, options.most), limited(set.test, options.most));
    Ok(Sets { train, test, from })
}

fn photographs(options: &Options) -> Result<Option<Sets>> {
    let Some(dir) = &options.data else { return Ok(None) };
    match cifar10::load(dir) {
        Err(DataError::Missing { .. }) => Ok(None),
        set => {
            let set = set?;
            let (train, test) = (limited(set.train, options.most), limited(set.test, options.most));
            Ok(Some(Sets { train, test, from: dir.display().to_string() }))
        }
    }
}

fn shape(set: &Dataset) -> String {
    let axes: Vec<String> = set.images().shape().iter().map(ToString::to_string).collect();
    format!("({})", axes.join(", "))
}

fn data(page: &mut Page, digits: &Sets, photographs: Option<&Sets>) -> Result<()> {
    page.chapter("The data");
    page.say(
        "A grey picture is a table of numbers: one for each pixel, 0 for black, 255 for white. A colour \
         picture has three such tables, for red, green and blue. That is all a network gets to see.",
    );
    let mut rows = vec![["set", "training images", "test images"].map(str::to_owned)];
    let sets = [("handwritten digits", Some(digits)), ("photographs (CIFAR-10)", photographs)];
    for (name, set) in sets {
        let shape = |which: fn(&Sets) -> &Dataset| {
            set.map_or_else(|| "not here".to_owned(), |set| shape(which(set)))
        };
        rows.push([name.to_owned(), shape(|set| &set.train), shape(|set| &set.test)]);
    }
    page.table(&rows);
    page.say(&format!(
        "The four numbers count images, rows, columns and channels. The digits come from {}.",
        digits.from
    ));

    let first = digits.train.split_at(digits.train.len().min(6)).0;
    let titles: Vec<String> = first.labels().iter().map(ToString::to_string).collect();
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    let six = pictures(&first)?;
    page.picture(
        &sample_grid(&six, &titles, 6, 112)?,
        "The first six training digits, each with its label.",
    )?;
    page.picture(
        &digit_values(six[0])?,
        "The first of them as the numbers it is made of: 28 × 28 = 784.",
    )?;

    page.heading("What happens to it before training");
    let one_hot = digits.train.one_hot(10)?;
    let label = digits.train.labels()[0];
    let row: Vec<String> = one_hot.row(0).iter().map(ToString::to_string).collect();
    page.say(&format!(
        "Pixels are divided by 255, so that all lie between 0 and 1; here that happens when an image is \
         loaded into the network, and in memory they stay bytes. A label says which of ten classes is \
         right; as ten numbers, one hot and nine cold, {label} is written `[{}]`. Images are rows × \
         columns × channels. Some training images are held out: they tell after each pass how the \
         network does on what it was not trained on. And the test images are looked at once, at the end.",
        row.join(", ")
    ));
    photographs::samples(page, photographs)
}
