//! The reference results of Keras in `tests/data`.

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;

/// One case: a layer or loss, its inputs, and what Keras makes of them.
pub(crate) struct Case {
    json: Value,
    tensors: HashMap<String, (Vec<usize>, Vec<f64>)>,
}

/// All cases of a group.
pub(crate) fn load(group: &str) -> Vec<Case> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data");
    let index = std::fs::read(directory.join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let file = std::fs::read(directory.join(format!("{group}.safetensors"))).unwrap();
    let file = SafeTensors::deserialize(&file).unwrap();
    let cases = index["cases"].as_array().unwrap().iter();
    cases.filter(|case| case["group"] == group).map(|case| Case::new(case, &file)).collect()
}

impl Case {
    fn new(json: &Value, file: &SafeTensors<'_>) -> Self {
        let names = json["tensors"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        let tensors = names.map(|name| {
            let view = file.tensor(&format!("{}/{name}", json["id"].as_str().unwrap())).unwrap();
            (name.to_owned(), (view.shape().to_vec(), numbers(view.dtype(), view.data())))
        });
        Self { json: json.clone(), tensors: tensors.collect() }
    }

    /// The case's name.
    pub(crate) fn id(&self) -> &str {
        self.json["id"].as_str().unwrap()
    }

    /// Whether it is in training mode.
    pub(crate) fn trains(&self) -> bool {
        self.json["mode"] == "train"
    }

    /// The class of its only layer.
    pub(crate) fn class(&self) -> &str {
        self.json["layers"][0]["class"].as_str().unwrap()
    }

    /// The arguments of its only layer.
    pub(crate) fn args(&self) -> &Value {
        &self.json["layers"][0]["args"]
    }

    /// The class of the loss.
    pub(crate) fn loss_class(&self) -> &str {
        self.json["loss"]["class"].as_str().unwrap()
    }

    /// The arguments of the loss.
    pub(crate) fn loss_args(&self) -> &Value {
        &self.json["loss"]["args"]
    }

    /// The shape of the input, without the batch.
    pub(crate) fn input_shape(&self) -> Vec<usize> {
        self.shape("input")[1..].to_vec()
    }

    /// The shape of the input with the batch.
    pub(crate) fn batch_shape(&self) -> Vec<usize> {
        self.shape("input").to_vec()
    }

    /// The shape of a tensor.
    pub(crate) fn shape(&self, name: &str) -> &[usize] {
        &self.tensors[name].0
    }

    /// An argument that is one number or two.
    pub(crate) fn pair(&self, name: &str) -> Option<[usize; 2]> {
        let number = |value: &Value| value.as_u64().unwrap() as usize;
        match &self.args()[name] {
            Value::Null => None,
            Value::Array(pair) => Some([number(&pair[0]), number(&pair[1])]),
            value => Some([number(value); 2]),
        }
    }

    /// The padding of the only layer: top, bottom, left, right.
    pub(crate) fn padding(
        &self,
        input: [usize; 3],
        size: [usize; 2],
        strides: [usize; 2],
        dilation: [usize; 2],
    ) -> [usize; 4] {
        if self.args()["padding"] != "same" {
            return [0; 4];
        }
        let along = |i: usize| super::same_padding(input[i], size[i], strides[i], dilation[i]);
        let ((top, bottom), (left, right)) = (along(0), along(1));
        [top, bottom, left, right]
    }

    /// A tensor that is an input.
    pub(crate) fn f32(&self, name: &str) -> Vec<f32> {
        self.f64(name).iter().map(|&x| x as f32).collect()
    }

    /// A tensor in double precision.
    pub(crate) fn f64(&self, name: &str) -> &[f64] {
        &self.tensors[name].1
    }

    /// Compares a result with Keras's, within the case's own tolerance.
    #[track_caller]
    pub(crate) fn check(&self, name: &str, actual: &[f32]) {
        let wide = format!("f64/{name}");
        let expected = self.f64(if self.tensors.contains_key(&wide) { &wide } else { name });
        assert_eq!(actual.len(), expected.len(), "{} {name}", self.id());
        let tolerance = |key: &str| self.json["tol"][name][key].as_f64().unwrap();
        let (rtol, atol) = (tolerance("rtol"), tolerance("atol"));
        for (i, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
            let error = (f64::from(actual) - expected).abs();
            // Beyond the range of f32 the exact result is its infinity.
            let overflow = actual.to_bits() == (expected as f32).to_bits();
            assert!(
                error <= atol + rtol * expected.abs() || overflow,
                "{} ({}) {name}[{i}]: {actual:e}, Keras {expected:e}",
                self.id(),
                self.json["note"],
            );
        }
    }
}

fn numbers(dtype: Dtype, data: &[u8]) -> Vec<f64> {
    match dtype {
        Dtype::F32 => {
            data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect()
        }
        Dtype::F64 => data.chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
        Dtype::I32 => {
            data.chunks(4).map(|b| i32::from_le_bytes(b.try_into().unwrap()).into()).collect()
        }
        other => panic!("unexpected {other:?}"),
    }
}
