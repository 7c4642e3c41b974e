//! `compile(…)` and `fit(…)`.

use crate::ast::{Call, Expr, ExprKind, Span};
use crate::bind::{Args, Interval, Signature, optional, required, unsupported};
use crate::diagnostics::Diagnostic;
use crate::ir::{Compile, Fit, Layer, Loss, Metric, Optimizer};
use crate::layer::activation::Activation;

const COMPILE: Signature<'static> = Signature {
    name: "compile",
    params: &[
        optional("optimizer"),
        required("loss"),
        unsupported("loss_weights", "None"),
        optional("metrics"),
        unsupported("weighted_metrics", "None"),
        unsupported("run_eagerly", "false"),
        unsupported("steps_per_execution", "1"),
        unsupported("jit_compile", "auto"),
        unsupported("auto_scale_loss", "true"),
    ],
};

const FIT: Signature<'static> = Signature {
    name: "fit",
    params: &[
        optional("batch_size"),
        optional("epochs"),
        unsupported("verbose", "auto"),
        unsupported("validation_split", "0"),
        unsupported("shuffle", "true"),
        unsupported("class_weight", "None"),
        unsupported("initial_epoch", "0"),
        unsupported("steps_per_epoch", "None"),
    ],
};

const RMSPROP: Signature<'static> = Signature {
    name: "RMSprop",
    params: &[
        optional("learning_rate"),
        optional("rho"),
        unsupported("momentum", "0"),
        optional("epsilon"),
        unsupported("centered", "false"),
        unsupported("weight_decay", "None"),
        unsupported("clipnorm", "None"),
        unsupported("clipvalue", "None"),
        unsupported("global_clipnorm", "None"),
        unsupported("use_ema", "false"),
        unsupported("ema_momentum", "0.99"),
        unsupported("ema_overwrite_frequency", "None"),
        unsupported("loss_scale_factor", "None"),
        unsupported("gradient_accumulation_steps", "None"),
    ],
};

const LOSSES: &[(&str, Loss)] = &[
    ("categorical_crossentropy", Loss::CategoricalCrossentropy),
    ("sparse_categorical_crossentropy", Loss::SparseCategoricalCrossentropy),
];

const LOSSES_NOT_YET: &[&str] = &[
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mae",
    "mape",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "mse",
    "msle",
    "poisson",
    "squared_hinge",
];

const METRICS: &[(&str, Metric)] = &[("accuracy", Metric::Accuracy), ("acc", Metric::Accuracy)];

const METRICS_NOT_YET: &[&str] = &[
    "auc",
    "binary_accuracy",
    "categorical_accuracy",
    "f1_score",
    "mae",
    "mean_absolute_error",
    "mean_squared_error",
    "mse",
    "precision",
    "recall",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
];

const OPTIMIZERS: &[(&str, ())] = &[("rmsprop", ()), ("RMSprop", ())];

const OPTIMIZERS_NOT_YET: &[&str] = &[
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lamb",
    "Lion",
    "Muon",
    "Nadam",
    "SGD",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamw",
    "adamax",
    "ftrl",
    "lamb",
    "lion",
    "muon",
    "nadam",
    "sgd",
];

/// Checks `compile(…)` against the last layer and its place, if these are known.
pub(super) fn compile(
    call: &Call,
    output: Option<(&Layer, Span)>,
    errors: &mut Vec<Diagnostic>,
) -> Option<Compile> {
    let mut args = Args::bind(&COMPILE, call, "compile");
    let loss = args.value("loss").and_then(|value| {
        let loss = args.choice_of(value, "loss", LOSSES, LOSSES_NOT_YET);
        if let (Some(_), Some((layer, at))) = (loss, output) {
            check_classifier(&mut args, value, layer, at);
        }
        loss
    });
    let metrics = metrics(&mut args);
    let mut nested = Vec::new();
    let optimizer = optimizer(&mut args, &mut nested);
    errors.append(&mut args.into_errors());
    errors.append(&mut nested);
    Some(Compile { loss: loss?, optimizer: optimizer?, metrics: metrics? })
}

/// Layers that disturb what passes through them in training.
pub(super) const NOISE: [&str; 4] =
    ["Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise"];

/// Crossentropy needs a distribution over at least two classes, from a softmax.
fn check_classifier(args: &mut Args<'_>, loss: &Expr, layer: &Layer, at: Span) {
    let output = &layer.output;
    let softmax = layer.kind.activation() == Some(Activation::Softmax);
    let (found, help) = match (output.rank(), output.last()) {
        (1, 2..) if softmax => return,
        _ if NOISE.contains(&layer.kind.class()) => {
            let class = layer.kind.class();
            let help = format!("put `{class}` before the last layer with weights");
            (format!("a `{class}` at the end"), help)
        }
        (1, 2..) => (
            "no softmax at the end".to_owned(),
            format!("end the model with `Dense({}, activation = softmax);`", output.last()),
        ),
        (1, _) => (
            "an output of a single value".to_owned(),
            "give the last layer one output per class, at least 2".to_owned(),
        ),
        _ => (
            format!("an output of {output}"),
            "put `Flatten;` or `GlobalAveragePooling2D;` before `Dense(10, activation = softmax);`"
                .to_owned(),
        ),
    };
    let message = format!("`{loss}` needs the probabilities of at least 2 classes, found {found}");
    let diagnostic = args.error(loss.span.clone(), &message, "this loss compares probabilities");
    diagnostic.secondary.push((at, format!("the last layer, `{}`", layer.name)));
    diagnostic.help.push(help);
}

fn metrics(args: &mut Args<'_>) -> Option<Vec<Metric>> {
    let Some(value) = args.value("metrics") else { return Some(Vec::new()) };
    let (ExprKind::List(items) | ExprKind::Tuple(items)) = &value.kind else {
        let message = format!("`metrics` must be a list, found `{value}`");
        let diagnostic = args.error(value.span.clone(), &message, "not a list");
        diagnostic.help.push("write `metrics = [accuracy]`".to_owned());
        return None;
    };
    let mut metrics: Vec<Metric> = Vec::new();
    let mut complete = true;
    for item in items {
        match args.choice_of(item, "metrics", METRICS, METRICS_NOT_YET) {
            Some(metric) if metrics.contains(&metric) => {
                args.error(item.span.clone(), "a metric is given twice", "the same again");
                complete = false;
            }
            Some(metric) => metrics.push(metric),
            None => complete = false,
        }
    }
    complete.then_some(metrics)
}

fn optimizer(args: &mut Args<'_>, errors: &mut Vec<Diagnostic>) -> Option<Optimizer> {
    // Keras's default, too.
    let Some(value) = args.value("optimizer") else { return rmsprop(None, errors) };
    match &value.kind {
        ExprKind::Call(call) if call.name.text == "RMSprop" => rmsprop(Some(call), errors),
        ExprKind::Call(call) if !call.args.is_empty() => {
            let name = Call { name: call.name.clone(), args: Vec::new() };
            let value = Expr { kind: ExprKind::Call(name), span: call.name.span.clone() };
            let choices = &OPTIMIZERS[1..];
            args.choice_of(&value, "optimizer", choices, OPTIMIZERS_NOT_YET)?;
            None
        }
        _ => {
            args.choice_of(value, "optimizer", OPTIMIZERS, OPTIMIZERS_NOT_YET)?;
            rmsprop(None, errors)
        }
    }
}

fn rmsprop(call: Option<&Call>, errors: &mut Vec<Diagnostic>) -> Option<Optimizer> {
    let defaults = (1e-3, 0.9, 1e-7);
    let Some(call) = call else {
        let (learning_rate, rho, epsilon) = defaults;
        return Some(Optimizer::RMSprop { learning_rate, rho, epsilon });
    };
    let mut args = Args::bind(&RMSPROP, call, "RMSprop");
    let learning_rate = args.number_or("learning_rate", defaults.0, Interval::POSITIVE);
    let rho = args.number_or("rho", defaults.1, Interval::RATE);
    let epsilon = args.number_or("epsilon", defaults.2, Interval::POSITIVE);
    errors.append(&mut args.into_errors());
    Some(Optimizer::RMSprop { learning_rate: learning_rate?, rho: rho?, epsilon: epsilon? })
}

/// Checks `fit(…)`; a wrong value counts as absent.
pub(super) fn fit(call: &Call, errors: &mut Vec<Diagnostic>) -> Fit {
    let mut args = Args::bind(&FIT, call, "fit");
    let default = Fit::default();
    let fit = Fit {
        batch_size: args.size_or("batch_size", default.batch_size).unwrap_or(default.batch_size),
        epochs: args.size_or("epochs", default.epochs).unwrap_or(default.epochs),
    };
    check_batch(&mut args, fit);
    errors.append(&mut args.into_errors());
    fit
}

/// The largest batch, so that a batch's bytes fit `u64` whatever the model.
const MAX_BATCH: u64 = 1 << 20;

fn check_batch(args: &mut Args<'_>, fit: Fit) {
    if fit.batch_size > MAX_BATCH {
        let at = args.span("batch_size");
        let message = format!("size overflow: `batch_size` {} exceeds {MAX_BATCH}", fit.batch_size);
        args.error(at, &message, "too large");
    }
}
