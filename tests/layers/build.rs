//! Writes each of Keras's cases in `tests/data` as a text of the language, into
//! `OUT_DIR/texts/<case>.cnn`, and compiles those whose numbers are to be compared into
//! `OUT_DIR/models.rs`.

#[path = "src/random.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod random;

use std::path::{Path, PathBuf};
use std::{env, fs};

use cnn_dsl::codegen::{Options, emit, pretty};
use quote::{format_ident, quote};
use serde_json::Value;

const INDEX: &str = "../data/index.json";

fn main() {
    println!("cargo::rerun-if-changed={INDEX}");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let texts = out.join("texts");
    fs::create_dir_all(&texts).expect("OUT_DIR is writable");
    let index = fs::read(INDEX).expect("the index is there");
    let index: Value = serde_json::from_slice(&index).expect("the index is JSON");

    let mut output = Output::default();
    for case in index["cases"].as_array().expect("a list of cases") {
        let id = string(&case["id"]);
        match string(&case["group"]) {
            // Functions of the runtime, and tested there.
            "losses" => {}
            // VGG16 is larger than a test should be: shapes and counts come from the compiler.
            "counts" => write(&texts, id, &text(case, id, Dropout::AsInTraining)),
            group => {
                let text = text(case, id, Dropout::AsInTraining);
                write(&texts, id, &text);
                output.add(id, &text);
                if group == "batchnorm" && string(&case["mode"]) == "infer" {
                    output.add_fixed(id, &text);
                }
            }
        }
        if has_labels(case) && has_dropout(case) {
            let id = format!("{id}-predicting");
            output.emit(&id, &text(case, &id, Dropout::AsWritten));
        }
    }
    println!("cargo::rerun-if-changed=src/random.rs");
    fs::write(out.join("random.rs"), random_graphs()).expect("OUT_DIR is writable");
    fs::write(out.join("models.rs"), output.code()).expect("OUT_DIR is writable");
}

/// The models of the random graphs, and a macro that hands them on.
fn random_graphs() -> String {
    let mut code = String::new();
    let mut entries = Vec::new();
    for number in 0..random::GRAPHS {
        let name = format!("Graph{number}");
        let text = random::Graph::random(number).text(&name);
        let models = cnn_dsl::compile(&text).unwrap_or_else(|mistakes| {
            panic!("{}", cnn_dsl::render(&name, &text, &mistakes, false))
        });
        let options = Options { input_gradient: true, ..Options::default() };
        code += &pretty(emit(&models, &options));
        let (test, model) = (format_ident!("graph_{number}"), format_ident!("{name}"));
        entries.push(quote!(#test: #model = #number;));
    }
    let table = quote! {
        macro_rules! for_each_graph {
            ($then:ident) => { $then! { #(#entries)* } };
        }
    };
    format!("{code}\n{table}")
}

fn write(directory: &Path, id: &str, text: &str) {
    fs::write(directory.join(format!("{id}.cnn")), text).expect("OUT_DIR is writable");
}

/// What was compiled.
#[derive(Default)]
struct Output {
    models: Vec<String>,
    compiled: Vec<String>,
    refused: Vec<(String, String)>,
    /// Again, of layers that are not trainable.
    fixed: Vec<String>,
}

impl Output {
    /// Compiles a case, or notes what the compiler says against it.
    fn add(&mut self, id: &str, text: &str) {
        if let Err(message) = self.try_emit(text) {
            self.refused.push((id.to_owned(), message));
        } else {
            self.compiled.push(id.to_owned());
        }
    }

    /// Compiles a case of one layer once more, its layer not trainable.
    fn add_fixed(&mut self, id: &str, text: &str) {
        let name = format!("{}Fixed", type_name(id));
        let text = text.replace(&type_name(id), &name);
        let text = text.replace("BatchNormalization(", "BatchNormalization(trainable = false, ");
        self.emit(id, &text);
        self.fixed.push(id.to_owned());
    }

    fn emit(&mut self, id: &str, text: &str) {
        if let Err(message) = self.try_emit(text) {
            panic!("{id}: {message}\n{text}");
        }
    }

    fn try_emit(&mut self, text: &str) -> Result<(), String> {
        let models = cnn_dsl::compile(text).map_err(|errors| {
            let messages = errors.into_iter().map(|error| error.message);
            messages.collect::<Vec<_>>().join("; ")
        })?;
        let options = Options { input_gradient: true, ..Options::default() };
        self.models.push(pretty(emit(&models, &options)));
        Ok(())
    }

    /// All models, a macro that hands `name: Type = "id";` for each case to another, and the
    /// cases that were refused.
    fn code(&self) -> String {
        let names = self.compiled.iter().map(|id| format_ident!("{}", id.replace('-', "_")));
        let types = self.compiled.iter().map(|id| format_ident!("{}", type_name(id)));
        let ids = &self.compiled;
        let refused = self.refused.iter().map(|(id, message)| quote!((#id, #message)));
        let fixed = self.fixed.iter().map(|id| {
            let name = format_ident!("{}_fixed", id.replace('-', "_"));
            let model = format_ident!("{}Fixed", type_name(id));
            quote!(#name: #model = #id;)
        });
        let tables = quote! {
            macro_rules! for_each_fixed {
                ($then:ident) => { $then! { #(#fixed)* } };
            }

            macro_rules! for_each_case {
                ($then:ident) => { $then! { #(#names: #types = #ids;)* } };
            }

            const REFUSED: &[(&str, &str)] = &[#(#refused),*];
        };
        format!("{}\n{tables}", self.models.join("\n"))
    }
}

/// Which rates the text gives its dropouts.
#[derive(Clone, Copy, PartialEq)]
enum Dropout {
    AsWritten,
    /// 0 where Keras's results are those of a network with dropout as the identity.
    AsInTraining,
}

/// A network that is trained, not a layer in training mode.
fn has_labels(case: &Value) -> bool {
    case["group"] == "networks"
}

fn has_dropout(case: &Value) -> bool {
    case["dropout"] == "identity"
}

/// `conv2d-01` → `Conv2d01`
fn type_name(id: &str) -> String {
    let words =
        id.split(['-', '_']).map(|word| format!("{}{}", word[..1].to_uppercase(), &word[1..]));
    words.collect()
}

/// A case in the language, its layers named as in Keras.
fn text(case: &Value, id: &str, dropout: Dropout) -> String {
    let name = type_name(id);
    let input = sizes(&case["input_shape"]);
    let mut lines = vec![format!("model {name} {{"), format!("    input({input});")];
    let mut above = "input";
    for layer in case["layers"].as_array().expect("a list of layers") {
        let (label, class) = (string(&layer["name"]), string(&layer["class"]));
        let inputs: Vec<&str> =
            layer["inputs"].as_array().map_or(vec![above], |all| all.iter().map(string).collect());
        let args = layer["args"].as_object().expect("named arguments");
        let mut args: Vec<String> = args
            .iter()
            .map(|(name, value)| match (name.as_str(), dropout) {
                ("rate", Dropout::AsInTraining) if has_dropout(case) => "rate = 0".to_owned(),
                _ => format!("{name} = {}", argument(value)),
            })
            .collect();
        let mut of = String::new();
        if inputs.len() > 1 {
            args.splice(0..0, inputs.iter().map(|&input| input.to_owned()));
        } else if inputs != [above] {
            of = format!("({})", inputs[0]);
        }
        lines.push(format!("    {label}: {class}({}){of};", args.join(", ")));
        above = label;
    }
    if has_labels(case) {
        lines.push("    compile(loss = categorical_crossentropy, optimizer = rmsprop);".into());
    }
    lines.push("}\n".to_owned());
    lines.join("\n")
}

fn argument(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(argument).collect();
            format!("({}{})", items.join(", "), if items.len() == 1 { "," } else { "" })
        }
        Value::String(name) => name.clone(),
        other => other.to_string(),
    }
}

fn sizes(value: &Value) -> String {
    let sizes = value.as_array().expect("a list of sizes").iter().map(Value::to_string);
    sizes.collect::<Vec<_>>().join(", ")
}

fn string(value: &Value) -> &str {
    value.as_str().expect("a string")
}
