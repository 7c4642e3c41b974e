//! Keras's results in `tests/data`, case by case.

pub mod definitions;
pub mod random;

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// A layer or a network, its inputs and weights, and what Keras makes of them.
#[derive(Debug)]
pub struct Case {
    json: &'static Value,
    tensors: HashMap<String, Tensor>,
}

/// Numbers in row-major order.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// With the batch, where there is one.
    pub shape: Vec<usize>,
    /// As many as the shape says.
    pub values: Vec<f64>,
}

/// A layer's line in the summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its class.
    pub class: String,
    /// Shape of its output, without the batch.
    pub shape: Vec<usize>,
    /// How many numbers its weights hold.
    pub params: usize,
}

/// The description of every case.
#[must_use]
pub fn index() -> &'static [Value] {
    static INDEX: OnceLock<Value> = OnceLock::new();
    let index = INDEX.get_or_init(|| {
        let text = fs::read(directory().join("index.json")).expect("the index is there");
        serde_json::from_slice(&text).expect("the index is JSON")
    });
    index["cases"].as_array().expect("a list of cases")
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../data")
}

fn sizes(value: &Value) -> Vec<usize> {
    let sizes = value.as_array().expect("a list of sizes").iter();
    sizes.map(|size| size.as_u64().expect("a size") as usize).collect()
}

fn both(counts: &Value) -> usize {
    let count = |which: &str| counts[which].as_u64().expect("a count") as usize;
    count("trainable") + count("non_trainable")
}

fn numbers(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    match dtype {
        Dtype::F32 => bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b).into()).collect(),
        Dtype::F64 => bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect(),
        other => panic!("no tensor of the cases used here is {other:?}"),
    }
}

impl Case {
    /// The case of this name.
    #[must_use]
    pub fn load(id: &str) -> Self {
        let json = index().iter().find(|case| case["id"] == id).expect("a case of the index");
        let names = json["tensors"].as_array().expect("a list of tensors");
        let mut tensors = HashMap::new();
        if !names.is_empty() {
            let group = json["group"].as_str().expect("a group");
            let path = directory().join(format!("{group}.safetensors"));
            let bytes = fs::read(path).expect("the group's file is there");
            let file = SafeTensors::deserialize(&bytes).expect("the group's file is whole");
            for name in names.iter().map(|name| name.as_str().expect("a name")) {
                let view = file.tensor(&format!("{id}/{name}")).expect("the case's tensor");
                let values = numbers(view.dtype(), view.data());
                tensors.insert(name.to_owned(), Tensor { shape: view.shape().to_vec(), values });
            }
        }
        Self { json, tensors }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &str {
        self.json["id"].as_str().expect("an id")
    }

    /// How many rows its input has.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.json["batch"].as_u64().expect("a batch") as usize
    }

    /// Whether it is trained.
    #[must_use]
    pub fn trains(&self) -> bool {
        self.json["mode"] == "train"
    }

    /// Whether it is trained on labels.
    #[must_use]
    pub fn has_labels(&self) -> bool {
        self.has("labels")
    }

    /// Shape of an input, without the batch.
    #[must_use]
    pub fn input_shape(&self) -> Vec<usize> {
        sizes(&self.json["input_shape"])
    }

    /// Shape of an output, without the batch.
    #[must_use]
    pub fn output_shape(&self) -> Vec<usize> {
        sizes(&self.json["output_shape"])
    }

    /// Its layers.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let layers = self.json["layers"].as_array().expect("a list of layers").iter();
        let lines = layers.map(|layer| {
            let name = layer["name"].as_str().expect("a name").to_owned();
            let params = &self.json["params"][&name];
            Line {
                class: layer["class"].as_str().expect("a class").to_owned(),
                shape: sizes(&self.json["layer_shapes"][&name]),
                params: both(params),
                name,
            }
        });
        lines.collect()
    }

    /// All weights' numbers.
    #[must_use]
    pub fn total(&self) -> usize {
        both(&self.json["total"])
    }

    /// How many of them training changes.
    #[must_use]
    pub fn trainable(&self) -> usize {
        self.json["total"]["trainable"].as_u64().expect("a count") as usize
    }

    /// Whether there is a tensor of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name) || self.tensors.contains_key(&format!("f64/{name}"))
    }

    /// Its weights, by names like `conv1/kernel`.
    pub fn weights(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("w/")?, tensor)))
    }

    /// A tensor that all of Keras's results follow from, such as `input`.
    #[must_use]
    pub fn floats(&self, name: &str) -> Vec<f32> {
        self.tensors[name].values.iter().map(|&value| value as f32).collect()
    }

    /// Asserts that a result is Keras's, within the case's tolerance for it.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn check(&self, name: &str, found: impl IntoIterator<Item = f64>) {
        let id = self.id();
        let expected = self.tensors.get(&format!("f64/{name}")).or(self.tensors.get(name));
        let expected = expected.unwrap_or_else(|| panic!("{id} has no {name}"));
        let found: Vec<f64> = found.into_iter().collect();
        assert_eq!(found.len(), expected.values.len(), "{id}: how many numbers {name} has");
        let tolerance = |kind: &str| self.json["tol"][name][kind].as_f64().expect("a tolerance");
        let (rtol, atol) = (tolerance("rtol"), tolerance("atol"));
        for (i, (&found, &expected)) in found.iter().zip(&expected.values).enumerate() {
            // What f32 cannot hold is its infinity or zero.
            let rounds_to = found.to_bits() == f64::from(expected as f32).to_bits();
            assert!(
                (found - expected).abs() <= atol + rtol * expected.abs() || rounds_to,
                "{id} ({}): {name}[{i}] is {found:e}, Keras {expected:e}",
                self.json["note"]
            );
        }
    }
}
