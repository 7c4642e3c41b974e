//! Compiles the models of `specs/`.

fn main() {
    let names = [
        "mnist_mlp",
        "mnist_cnn",
        "mnist_tiny",
        "lenet5",
        "cifar10_cnn",
        "cifar10_vgg",
        "cifar10_inception",
        "cifar10_mobilenet",
        "cifar10_densenet",
        "resnet20",
        "sobel",
    ];
    for name in names {
        cnn_dsl::build::compile(format!("specs/{name}.cnn"));
    }
}
