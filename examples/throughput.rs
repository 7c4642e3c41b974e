//! Measures training and inference, and prints one JSON line:
//!
//! ```text
//! cargo run --release --example throughput -- --model mnist_cnn --mode train --threads 2
//! ```

use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use bpaf::{Parser as _, construct, long};
use cnn::{Cifar10Cnn, MnistCnn, MnistMlp, ResNet20};
use cnn_runtime::data::{DataError, Dataset, Examples, Inputs, cifar10, mnist};
use cnn_runtime::rng::Rng;
use cnn_runtime::{Model, Network, Settings, Trainer};
use ndarray::{Array1, Array4};
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use serde_json::{Value, json};

/// The digits that ship with the repository.
const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/mnist-sample");

/// Measures training or inference.
#[derive(Debug)]
struct Flags {
    model: ModelName,
    mode: Mode,
    threads: usize,
    batch: Option<usize>,
    seconds: f64,
    repeats: usize,
    data: Option<PathBuf>,
}

impl Flags {
    fn parse() -> Self {
        let model = long("model")
            .argument("mnist_cnn|mnist_mlp|cifar10_cnn|resnet20")
            .parse(|name: String| ModelName::of(&name).ok_or("not one of the models"));
        let mode = long("mode")
            .help("scale trains on one thread, on --threads, and on each of these apart, in turns")
            .argument("train|infer|scale")
            .parse(|name: String| Mode::of(&name).ok_or("expected train, infer or scale"));
        let some = |count: &usize| *count > 0;
        let threads = long("threads")
            .argument("N")
            .guard(some, "at least one thread")
            .fallback(2)
            .display_fallback();
        let batch = long("batch")
            .help("Images in a step or a prediction; the model's own for training, 1 for inference")
            .argument("N")
            .guard(some, "at least one image")
            .optional();
        let seconds = long("seconds")
            .help("Least length of a repeat")
            .argument("S")
            .fallback(5.0)
            .display_fallback();
        let repeats = long("repeats").argument("N").fallback(5).display_fallback();
        let data = long("data")
            .help("Folder with MNIST or CIFAR-10; without it a sample, and stripes in noise")
            .argument::<PathBuf>("DIR")
            .optional();
        construct!(Self { model, mode, threads, batch, seconds, repeats, data }).to_options().run()
    }
}

#[derive(Clone, Copy, Debug)]
enum ModelName {
    MnistCnn,
    MnistMlp,
    Cifar10Cnn,
    ResNet20,
}

impl ModelName {
    fn of(name: &str) -> Option<Self> {
        match name {
            "mnist_cnn" => Some(Self::MnistCnn),
            "mnist_mlp" => Some(Self::MnistMlp),
            "cifar10_cnn" => Some(Self::Cifar10Cnn),
            "resnet20" => Some(Self::ResNet20),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::MnistCnn => "mnist_cnn",
            Self::MnistMlp => "mnist_mlp",
            Self::Cifar10Cnn => "cifar10_cnn",
            Self::ResNet20 => "resnet20",
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    Train,
    Infer,
    Scale,
}

impl Mode {
    fn of(name: &str) -> Option<Self> {
        match name {
            "train" => Some(Self::Train),
            "infer" => Some(Self::Infer),
            "scale" => Some(Self::Scale),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Infer => "infer",
            Self::Scale => "scale",
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let flags = Flags::parse();
    let line = pool(flags.threads)?.install(|| match flags.model {
        ModelName::MnistCnn => measure::<MnistCnn>(&flags),
        ModelName::MnistMlp => measure::<MnistMlp>(&flags),
        ModelName::Cifar10Cnn => measure::<Cifar10Cnn>(&flags),
        ModelName::ResNet20 => measure::<ResNet20>(&flags),
    });
    println!("{}", line?);
    Ok(())
}

fn pool(threads: usize) -> Result<ThreadPool, ThreadPoolBuildError> {
    ThreadPoolBuilder::new().num_threads(threads).build()
}

fn measure<N: Network>(flags: &Flags) -> Result<Value, String> {
    let data = match flags.model {
        ModelName::Cifar10Cnn | ModelName::ResNet20 => photographs(flags.data.as_deref()),
        ModelName::MnistCnn | ModelName::MnistMlp => {
            mnist::load(flags.data.as_deref().unwrap_or(SAMPLE.as_ref())).map(|mnist| mnist.train)
        }
    };
    let data = data.map_err(|error| error.to_string())?;
    let mut line = match flags.mode {
        Mode::Train => train::<N>(flags, &data),
        Mode::Infer => infer::<N>(flags, &data),
        Mode::Scale => scale::<N>(flags, &data).map_err(|error| error.to_string())?,
    };
    line["peer"] = "cnn".into();
    line["version"] = env!("CARGO_PKG_VERSION").into();
    line["model"] = flags.model.name().into();
    line["mode"] = flags.mode.name().into();
    line["threads"] = flags.threads.into();
    line["peak_rss_mib"] = peak_rss_mib().into();
    Ok(line)
}

/// CIFAR-10, or images of its size, since it is not ours to ship: stripes under noise, a direction and width for
/// each class, and a tenth of wrong labels. They can be learned and never quite are, as photographs: the relus of a
/// network that learns nothing die, and what is zero is skipped.
fn photographs(folder: Option<&Path>) -> Result<Dataset, DataError> {
    if let Some(folder) = folder {
        return cifar10::load(folder).map(|cifar10| cifar10.train);
    }
    let mut rng = Rng::new(1, 0);
    let labels = Array1::from_shape_simple_fn(4096, || rng.below(10) as u32);
    let images = Array4::from_shape_fn((4096, 32, 32, 3), |(image, y, x, _)| {
        let class = labels[image] as usize;
        let place = if class < 5 { x } else { y };
        let stripe = place / (class % 5 + 1) % 2;
        (64 * stripe) as u8 + (rng.next_u32() % 192) as u8
    });
    let labels = labels.map(|&label| if rng.below(10) == 0 { rng.below(10) as u32 } else { label });
    Ok(Dataset::new(images, labels).expect("a label for each image"))
}

/// Whole steps: gather a shuffled batch, forward, loss, backward, optimizer.
struct Steps<'a, N: Network> {
    trainer: Trainer<'a, N>,
    examples: Examples<'a>,
    batch: usize,
    order: Vec<usize>,
    next: usize,
    epoch: u64,
    last_loss: f64,
}

impl<'a, N: Network> Steps<'a, N> {
    fn new(flags: &Flags, data: &'a Dataset, model: &'a mut Model<N>) -> Self {
        let batch = flags.batch.unwrap_or(N::DEFAULTS.batch_size);
        let settings = Settings { batch_size: batch, ..Settings::of::<N>() };
        let trainer = Trainer::new(model, settings);
        let examples = data.examples();
        let order: Vec<usize> = (0..examples.len()).collect();
        let next = order.len();
        let mut steps = Self { trainer, examples, batch, order, next, epoch: 0, last_loss: 0.0 };
        for _ in 0..30 {
            steps.step();
        }
        steps
    }

    fn step(&mut self) {
        if self.next + self.batch > self.order.len() {
            Rng::new(0, self.epoch).shuffle(&mut self.order);
            (self.next, self.epoch) = (0, self.epoch + 1);
        }
        let indices = &self.order[self.next..self.next + self.batch];
        let totals = self.trainer.step(&self.examples, indices);
        self.next += self.batch;
        self.last_loss = totals.loss / totals.samples as f64;
    }
}

fn train<N: Network>(flags: &Flags, data: &Dataset) -> Value {
    let mut model = Model::new(0);
    let mut steps = Steps::<N>::new(flags, data, &mut model);
    let (rates, _) = repeat(flags, 20, &mut || steps.step());
    let rates: Vec<f64> = rates.iter().map(|rate| rate * steps.batch as f64).collect();
    let flops = training_flops::<N>();
    json!({
        "batch": steps.batch,
        "images_per_s": summary(&rates),
        "gflop_per_s": round(median(&rates) * flops / 1e9),
        "last_loss": (steps.last_loss * 1e4).round() / 1e4,
    })
}

/// Steps in a turn of [`scale`], behind a quarter as many that are not counted: by then the caches hold what the
/// turn's threads need.
const TURN: u32 = 20;

/// Turns of a few hundredths of a second each, so that a machine whose speed drifts is as fast for all: one
/// thread, several threads, and as many trainings side by side with a thread each, which is what the machine has
/// to give.
fn scale<N: Network>(flags: &Flags, data: &Dataset) -> Result<Value, ThreadPoolBuildError> {
    let many = pool(flags.threads)?;
    let alone = (0..flags.threads).map(|_| pool(1)).collect::<Result<Vec<_>, _>>()?;
    let mut models: Vec<Model<N>> = alone.iter().map(|_| Model::new(0)).collect();
    let mut steps: Vec<_> = models.iter_mut().map(|model| Steps::new(flags, data, model)).collect();
    let turn = |pool: &ThreadPool, steps: &mut Steps<'_, N>| {
        pool.install(|| {
            (0..TURN / 4).for_each(|_| steps.step());
            let start = Instant::now();
            (0..TURN).for_each(|_| steps.step());
            f64::from(TURN) * steps.batch as f64 / start.elapsed().as_secs_f64()
        })
    };
    let start = Instant::now();
    let least = flags.seconds * flags.repeats as f64;
    let (mut rates, mut ratios) = ([const { Vec::new() }; 3], [const { Vec::new() }; 2]);
    while start.elapsed().as_secs_f64() < least || ratios[0].is_empty() {
        let one = turn(&alone[0], &mut steps[0]);
        let threads = turn(&many, &mut steps[0]);
        let apart = thread::scope(|scope| {
            let turns = alone.iter().zip(&mut steps);
            let turns: Vec<_> =
                turns.map(|(pool, steps)| scope.spawn(move || turn(pool, steps))).collect();
            turns.into_iter().map(|turn| turn.join().expect("steps do not panic")).sum::<f64>()
        });
        rates.iter_mut().zip([one, threads, apart]).for_each(|(all, rate)| all.push(rate));
        ratios.iter_mut().zip([threads / one, threads / apart]).for_each(|(all, r)| all.push(r));
    }
    let [one, threads, apart] = rates.map(|rates| summary(&rates));
    let [to_one, to_apart] = ratios.map(|ratios| summary(&ratios));
    Ok(json!({
        "batch": steps[0].batch,
        "images_per_s": { "one_thread": one, "threads": threads, "apart": apart },
        "threads_to_one": to_one,
        "threads_to_apart": to_apart,
    }))
}

/// From images in memory to finished probabilities.
fn infer<N: Network>(flags: &Flags, data: &Dataset) -> Value {
    let batch = flags.batch.unwrap_or(1);
    let model = Model::<N>::new(0);
    let len: usize = N::INPUT_SHAPE.iter().product();
    let pixels = data.images().iter().take(2560.max(batch) * len);
    let pixels: Vec<f32> = pixels.map(|&byte| f32::from(byte) / 255.0).collect();
    let batches: Vec<&[f32]> = pixels.chunks_exact(batch * len).collect();
    let mut predictor = model.predictor();
    let mut next = 0;
    let mut call = || {
        next = (next + 1) % batches.len();
        if batch == 1 {
            black_box(predictor.predict(black_box(batches[next])));
        } else {
            black_box(model.predict(Inputs::Floats(black_box(batches[next]))))
                .expect("whole images");
        }
    };
    for _ in 0..30 {
        call();
    }
    let (rates, laps) = repeat(flags, 1, &mut call);
    let rates: Vec<f64> = rates.iter().map(|rate| rate * batch as f64).collect();
    let mut laps: Vec<f64> = laps.iter().map(|lap| 1e6 * lap.as_secs_f64()).collect();
    laps.sort_by(f64::total_cmp);
    let p99 = laps[(laps.len() - 1) * 99 / 100];
    json!({
        "batch": batch,
        "images_per_s": summary(&rates),
        "latency_us": { "median": round(median(&laps)), "p99": round(p99) },
        "gflop_per_s": round(median(&rates) * forward_flops::<N>() / 1e9),
    })
}

/// Calls per second in each repeat, and the time of every `burst` calls.
fn repeat(flags: &Flags, burst: usize, call: &mut impl FnMut()) -> (Vec<f64>, Vec<Duration>) {
    let (mut rates, mut laps) = (Vec::new(), Vec::new());
    for _ in 0..flags.repeats.max(1) {
        let (start, mut calls) = (Instant::now(), 0);
        while start.elapsed().as_secs_f64() < flags.seconds || calls == 0 {
            let lap = Instant::now();
            for _ in 0..burst {
                call();
            }
            laps.push(lap.elapsed());
            calls += burst;
        }
        rates.push(calls as f64 / start.elapsed().as_secs_f64());
    }
    (rates, laps)
}

fn forward_flops<N: Network>() -> f64 {
    2.0 * N::LAYERS.iter().map(|layer| layer.macs as f64).sum::<f64>()
}

/// Forward, weight gradients and input gradients, the first layer's input gradient left out.
fn training_flops<N: Network>() -> f64 {
    let first = N::LAYERS.iter().find(|layer| layer.macs > 0).map_or(0, |layer| layer.macs);
    3.0 * forward_flops::<N>() - 2.0 * first as f64
}

fn summary(values: &[f64]) -> Value {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    json!({
        "median": round(median(values)), "min": round(least), "max": round(most),
        "n": values.len(),
    })
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The process's high-water mark, data included; `null` where the system does not tell.
fn peak_rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kib / 102.4).round() / 10.0)
}
