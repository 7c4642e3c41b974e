use super::{layout, pieces, tokens};

/// Without the parser, which decides what is a text at all.
fn laid_out(text: &str) -> String {
    layout::lay_out(&pieces::statements(tokens::read(text)))
}

fn check(text: &str, expected: &str) {
    assert_eq!(laid_out(text), expected, "from {text}");
    assert_eq!(laid_out(expected), expected, "again");
}

#[test]
fn blocks_and_clauses() {
    check(
        "use \"a.cnn\" ;const N=3;\nblock Residual(filters,strides=1){residual{Conv2D(filters,3,\
         strides=strides);ReLU;}shortcut// left out: identity\n{Conv2D(filters,1);}ReLU;}
         model Mixed{input(32,32,3);stem:Conv2D(16,3);repeat N{Residual(16);}
         branches concatenate{{Conv2D(16,1);}{Conv2D(16,3);ReLU;}{}}side:Conv2D(32,1)(stem);
         Add(side,branches);assert params<=250_000;}",
        "\
use \"a.cnn\";
const N = 3;

block Residual(filters, strides = 1) {
    residual {
        Conv2D(filters, 3, strides = strides);
        ReLU;
    } shortcut { // left out: identity
        Conv2D(filters, 1);
    }
    ReLU;
}

model Mixed {
    input(32, 32, 3);
    stem: Conv2D(16, 3);
    repeat N { Residual(16); }
    branches concatenate {
        { Conv2D(16, 1); }
        {
            Conv2D(16, 3);
            ReLU;
        }
        {}
    }
    side: Conv2D(32, 1)(stem);
    Add(side, branches);
    assert params <= 250_000;
}
",
    );
}

#[test]
fn arithmetic() {
    check(
        "const N=-(2*3+1)- -4%2;repeat(N-1)*2{A(-N,2-1,b=-1,1e-3-N,[[-1,0],[- 2,1]]);B;}",
        "\
const N = -(2 * 3 + 1) - -4 % 2;

repeat (N - 1) * 2 {
    A(-N, 2 - 1, b = -1, 1e-3 - N, [[-1, 0], [-2, 1]]);
    B;
}
",
    );
}

/// `(3,)` is a tuple of one, `(3)` a number: a comma means something there.
#[test]
fn commas_at_the_end() {
    check("A((3,),(3),(3,4,),[1,],);", "A((3,), (3), (3, 4), [1]);\n");
    check(
        "A(( // one\n3,),(// two\n3),[3 // three\n]);",
        "\
A(
    ( // one
        3,
    ),
    ( // two
        3
    ),
    [
        3, // three
    ],
);
",
    );
}

#[test]
fn long_lines_break_at_the_longest_list() {
    let long = "a_long_word_".repeat(4);
    check(
        &format!("x: Layer({long}, [{long}])(stem);"),
        &format!("x: Layer(\n    {long},\n    [{long}],\n)(stem);\n"),
    );
    let longer = long.repeat(2) + "abc";
    check(
        &format!("x: Layer({longer})({longer});"),
        &format!("x: Layer(\n    {longer},\n)(\n    {longer},\n);\n"),
    );
    check(&format!("assert {longer} <= {longer};"), &format!("assert {longer} <= {longer};\n"));
}

#[test]
fn nothing_is_nothing() {
    check("", "");
    check("\u{FEFF} \n\n", "");
    check("\n\n// a comment alone\n\n\n// and another", "// a comment alone\n\n// and another\n");
}
