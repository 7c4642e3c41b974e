use crate::ast::{Arg, Call, Expr, ExprKind, Ident};
use crate::codegen::{Options, emit};
use crate::diagnostics::Diagnostic;
use crate::layer::concatenate;
use crate::receptive::ReceptiveField;

use super::*;

fn operand(name: &str, shape: &[u64], at: usize) -> Operand {
    Operand { name: name.to_owned(), shape: Shape(shape.to_vec()), span: at..at + 1 }
}

fn operands(shapes: &[&[u64]]) -> Vec<Operand> {
    let names = ["one", "two", "three", "four"];
    let named = names.iter().zip(shapes).enumerate();
    named.map(|(at, (name, shape))| operand(name, shape, at)).collect()
}

/// Builds a merge of these shapes, with `axis` if given.
fn build_of(
    definition: &'static Definition,
    shapes: &[&[u64]],
    axis: Option<i64>,
) -> Result<Built, Vec<Diagnostic>> {
    let name = Ident { text: definition.signature.name.to_owned(), span: 10..13 };
    let axis = axis.map(|axis| Arg {
        name: Some(Ident { text: "axis".to_owned(), span: 20..24 }),
        value: Expr { kind: ExprKind::Number(axis.to_string()), span: 27..29 },
    });
    let call = Call { name, args: axis.into_iter().collect() };
    let mut args = Args::bind(&definition.signature, &call, "layer");
    let Build::Many(build) = definition.build else { panic!("a merge") };
    let built = build(&mut args, Some(&operands(shapes)));
    let errors = args.into_errors();
    assert_eq!(built.is_none(), !errors.is_empty());
    built.ok_or(errors)
}

fn output(definition: &'static Definition, shapes: &[&[u64]], axis: Option<i64>) -> Vec<u64> {
    build_of(definition, shapes, axis).unwrap().output.0
}

#[test]
fn shapes_that_fit() {
    assert_eq!(output(&ADD, &[&[5, 4, 3], &[5, 4, 3], &[5, 4, 3]], None), [5, 4, 3]);
    assert_eq!(output(&SUBTRACT, &[&[7], &[7]], None), [7]);
    assert_eq!(output(&MULTIPLY, &[&[5, 5, 6], &[1, 1, 6]], None), [5, 5, 6]);
    assert_eq!(output(&MAXIMUM, &[&[6], &[5, 5, 6]], None), [5, 5, 6]);
    assert_eq!(output(&AVERAGE, &[&[5, 1, 1], &[1, 4, 1], &[1, 1, 3]], None), [5, 4, 3]);
    let concatenate = &concatenate::DEFINITION;
    assert_eq!(output(concatenate, &[&[5, 5, 2], &[5, 5, 3], &[5, 5, 1]], None), [5, 5, 6]);
    assert_eq!(output(concatenate, &[&[4, 5, 3], &[2, 5, 3]], Some(1)), [6, 5, 3]);
    assert_eq!(output(concatenate, &[&[4, 5, 3], &[4, 1, 3]], Some(-2)), [4, 6, 3]);
    assert_eq!(output(concatenate, &[&[4], &[3]], Some(1)), [7]);
}

/// A merge, shapes, its axis, and the help it gets.
type Mistake = (&'static Definition, &'static [&'static [u64]], Option<i64>, &'static str);

/// What is said of shapes that do not fit: at the second, with the first beside it.
#[test]
fn shapes_that_do_not_fit() {
    let concatenate = &concatenate::DEFINITION;
    let table: [Mistake; 12] = [
        (
            &ADD,
            &[&[16, 16, 32], &[16, 16, 64]],
            None,
            "`Conv2D(32, 1)` gives `two` 32 channels; `Concatenate` puts channels side by side",
        ),
        (
            &ADD,
            &[&[32, 32, 16], &[16, 16, 32]],
            None,
            "`Conv2D(32, 1, strides = 2)` makes `one` 16x16x32",
        ),
        (
            &MINIMUM,
            &[&[3, 2, 5], &[8, 6, 5]],
            None,
            "`Conv2D(5, 1, strides = 3)` makes `two` 3x2x5",
        ),
        (
            &AVERAGE,
            &[&[3, 6, 5], &[6, 6, 5]],
            None,
            "`Conv2D(5, 1, strides = (2, 1))` makes `two` 3x6x5",
        ),
        (
            &ADD,
            &[&[28, 28, 8], &[26, 26, 8]],
            None,
            "`padding = same` keeps height and width; `ZeroPadding2D` and `Cropping2D` change them",
        ),
        (&MULTIPLY, &[&[4], &[5]], None, "`Dense(4)` gives `two` 4 features"),
        (&ADD, &[&[4, 4, 2], &[32]], None, "`Flatten` makes both 32"),
        (
            &ADD,
            &[&[4, 4, 3], &[7]],
            None,
            "shapes must be equal, or 1 along an axis to be repeated there",
        ),
        (concatenate, &[&[8, 8, 2], &[4, 4, 2]], None, "`UpSampling2D(2)` makes `two` as large"),
        (
            concatenate,
            &[&[8, 8, 2], &[7, 7, 2]],
            None,
            "`padding = same` and the same strides keep height and width alike",
        ),
        (
            concatenate,
            &[&[8, 8, 2], &[8, 8, 3]],
            Some(1),
            "along the axis that differs they fit: `axis = 3`",
        ),
        (
            concatenate,
            &[&[8, 8, 2], &[8]],
            None,
            "all inputs need as many axes: `Flatten` makes `one` a vector",
        ),
    ];
    for (definition, shapes, axis, help) in table {
        let errors = build_of(definition, shapes, axis).unwrap_err();
        assert_eq!(errors.len(), 1);
        let (error, [a, b]) = (&errors[0], [0, 1].map(|k| Shape(shapes[k].to_vec())));
        let shapes = format!("layer: {a} of `one` and {b} of `two` do not agree");
        assert!(error.message.starts_with(&shapes), "{}", error.message);
        assert_eq!((error.span.clone(), &error.label), (1..2, &format!("this is {b}")));
        assert_eq!(error.secondary, [(0..1, format!("this is {a}"))]);
        assert_eq!(error.help, [help]);
    }
}

/// The first that a third does not fit may itself have been repeated.
#[test]
fn the_clash_is_with_the_input_that_differs() {
    let errors = build_of(&ADD, &[&[1, 1, 3], &[5, 5, 3], &[4, 4, 3]], None).unwrap_err();
    assert!(errors[0].message.contains("5x5x3 of `two` and 4x4x3 of `three`"));
    assert_eq!(errors[0].secondary[0].0, 1..2);
}

#[test]
fn other_mistakes() {
    let message = |result: Result<Built, Vec<Diagnostic>>| result.unwrap_err().remove(0).message;
    let three: &[&[u64]] = &[&[4], &[4], &[4]];
    assert_eq!(message(build_of(&SUBTRACT, three, None)), "layer: takes exactly 2 inputs, found 3");
    assert_eq!(
        message(build_of(&ADD, &three[..1], None)),
        "layer: merges at least 2 inputs, found 1"
    );
    assert!(
        message(build_of(&concatenate::DEFINITION, three, Some(2))).contains("1 to 1 or -1 to -1")
    );
    let large: &[&[u64]] = &[&[1 << 39, 1, 1], &[1, 1, 1 << 39]];
    assert!(message(build_of(&ADD, large, None)).contains("size overflow"));
    let long: &[&[u64]] = &[&[1 << 40], &[1 << 40]];
    assert!(message(build_of(&concatenate::DEFINITION, long, None)).contains("size overflow"));
}

/// The calls of a merge: a list of inputs, and one call for each gradient that is wanted.
#[test]
fn emitted_calls() {
    let text = "model M { input(4, 4, 3); a: Conv2D(3, 1); b: Conv2D(3, 3, padding = same); }";
    let mut model = crate::compile(text).unwrap().remove(0);
    let shapes = [[1, 1, 3], [4, 4, 3]].map(|shape| Shape(shape.to_vec()));
    for (name, sources, kind, inputs, output) in [
        ("c", vec![2, 0, 2], Kind::plain(Merge::Add), vec![&shapes[1]; 3], vec![4, 4, 3]),
        (
            "d",
            vec![3, 1],
            Kind::plain(concatenate::Concatenate { axis: 2 }),
            vec![&shapes[1]; 2],
            vec![4, 4, 6],
        ),
    ] {
        model.layers.push(Layer {
            name: name.into(),
            docs: Vec::new(),
            kind,
            sources,
            inputs: inputs.into_iter().cloned().collect(),
            output: Shape(output),
            weights: Vec::new(),
            macs: 0,
            trainable: true,
            field: ReceptiveField::of_input(&shapes[1]),
        });
    }
    let code = emit(&[model], &Options::default()).to_string();
    for part in [
        "const C : Add = Add :: new (48) ;",
        "const D : Concatenate = Concatenate :: new (16 , & [3 , 3]) ;",
        "C . forward (& [& a . b [i] , & a . input [i] , & a . b [i]] , & mut a . c [i] ,)",
        "D . forward (& [& a . c [i] , & a . a [i]] , & mut a . d [i] ,)",
        "C . backward (0 , & a . c [i] , t . d_c , t . d_b ,)",
        "accumulate (t . d_b , & t . spare [.. 48])",
        "D . backward (0 , & t . scores [i] , t . d_c ,)",
        "D . backward (1 , & t . scores [i] , t . d_a ,)",
    ] {
        assert!(code.contains(part), "{part}\n{code}");
    }
    assert!(!code.contains("C . backward (1"), "the input's gradient is not wanted");
}
