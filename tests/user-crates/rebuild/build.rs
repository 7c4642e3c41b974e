//! Compiles a network whose file has a blank in its path.

fn main() {
    cnn_dsl::build::compile("my models/net v1.cnn");
}
