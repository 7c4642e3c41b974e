//! Compiles the network of `specs/`.

#![deny(
    warnings,
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::nursery
)]
#![forbid(unsafe_code)]

fn main() {
    cnn_dsl::build::compile("specs/photographs.cnn");
}
