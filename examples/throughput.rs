//! placeholder
use cnn::MnistCnn;
use cnn_runtime::{Settings, Trainer, Network};
use cnn_runtime::data::{Examples, Inputs, Targets};
fn main() {
    let threads: usize = std::env::args().nth(1).map_or(2, |t| t.parse().unwrap());
    let dir = std::env::args().nth(2).unwrap_or("/work/tmp/data/mnist".into());
    let images = std::fs::read(format!("{dir}/train-images-idx3-ubyte")).unwrap();
    let labels: Vec<u32> = std::fs::read(format!("{dir}/train-labels-idx1-ubyte")).unwrap()[8..].iter().map(|&b| b.into()).collect();
    let n = labels.len();
    let ex = Examples::from_slices(Inputs::Bytes(&images[16..]), Targets::Classes(&labels), n).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let mut model = MnistCnn::new(1);
        let mut tr = Trainer::new(&mut model, Settings::of::<MnistCnn>());
        let mut order: Vec<usize> = (0..n).collect();
        cnn_runtime::rng::Rng::new(1, 1).shuffle(&mut order);
        let t = std::time::Instant::now();
        let mut loss = 0.0; let mut c = 0; let mut s = 0;
        for (i, idx) in order.chunks(64).enumerate() {
            let x = tr.step(&ex, idx); loss += x.loss; c += x.correct; s += x.samples;
            if i % 200 == 199 { println!("{i} loss {:.4} acc {:.4} {:.0} img/s", loss / s as f64, c as f64 / s as f64, ((i+1) * 64) as f64 / t.elapsed().as_secs_f64()); }
        }
        println!("{:?} {}", t.elapsed(), MnistCnn::NAME);
    });
}
