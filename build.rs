//! Compiles the models of `specs/`.

fn main() {
    for name in ["mnist_mlp", "mnist_cnn", "cifar10_cnn"] {
        cnn_dsl::build::compile(format!("specs/{name}.cnn"));
    }
}
