//! `input(…)`

use crate::ast::{Call, Expr, ExprKind, Span};
use crate::bind::{Args, Signature};
use crate::diagnostics::{Diagnostic, quote};
use crate::ir::Shape;
use crate::layer;

const INPUT: Signature<'static> = Signature { name: "input", params: &[] };

/// The shape that `input(…)` declares.
pub(super) fn shape(call: &Call, errors: &mut Vec<Diagnostic>) -> Option<Shape> {
    let bare = Call { name: call.name.clone(), args: Vec::new() };
    let mut args = Args::bind(&INPUT, &bare, "input");
    let shape = input_shape(call, &mut args);
    errors.append(&mut args.into_errors());
    shape
}

/// One to three sizes.
fn input_shape(call: &Call, args: &mut Args<'_>) -> Option<Shape> {
    let mut sizes = Vec::new();
    for arg in &call.args {
        if let Some(name) = &arg.name {
            let help = "write the sizes alone, as in `input(28, 28, 1);`";
            let message = format!("no argument {}", quote(&name.text));
            let diagnostic = args.error(name.span.clone(), &message, "unknown argument");
            diagnostic.help.push(help.to_owned());
            return None;
        }
        sizes.push(input_size(&arg.value, args));
    }
    if sizes.is_empty() || sizes.len() > 3 {
        let at = call.args.get(3).map_or_else(|| args.at(), |arg| span_from(call, &arg.value));
        let message = format!("takes one to three sizes, found {}", sizes.len());
        let diagnostic = args.error(at, &message, "wrong number of sizes");
        diagnostic.help.push(
            "`input(height, width, channels)`, `input(rows, features)`, `input(features)`"
                .to_owned(),
        );
        return None;
    }
    let sizes: Vec<u64> = sizes.into_iter().collect::<Option<_>>()?;
    let at = args.at();
    layer::values(args, &at, &[&sizes], "input values")?;
    Some(Shape(sizes))
}

fn span_from(call: &Call, value: &Expr) -> Span {
    let end = call.args.last().map_or(value.span.end, |last| last.value.span.end);
    value.span.start..end
}

fn input_size(value: &Expr, args: &mut Args<'_>) -> Option<u64> {
    let size = args.integer(value, "size", "a positive integer");
    if let ExprKind::Tuple(items) | ExprKind::List(items) = &value.kind
        && let Some(first) = args.last_error()
    {
        let sizes: Vec<String> = items.iter().map(ToString::to_string).collect();
        first.help.push(format!("write the sizes directly: `input({})`", sizes.join(", ")));
    }
    if matches!(value.as_name(), Some("None" | "none"))
        && let Some(last) = args.last_error()
    {
        last.help.push("the sizes of a network are fixed when it is compiled".to_owned());
    }
    size
}
