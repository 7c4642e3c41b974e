//! Compiles a network against the runtime's other name.

fn main() {
    cnn_dsl::build::Builder::new().spec("specs/net.cnn").runtime("::nets").compile();
}
