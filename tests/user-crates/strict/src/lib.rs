//! A library as strict as rustc and clippy can be, with a network from either door.

#![deny(
    warnings,
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::nursery
)]
#![forbid(unsafe_code)]

cnn_runtime::cnn! {
    /// As in LeCun et al. 1998, with today's activations and pooling.
    model LeNet {
        input(28, 28, 1);

        Conv2D(6, kernel_size = 5, padding = same, activation = relu);
        MaxPooling2D(2);
        Conv2D(16, kernel_size = 5, activation = relu);
        MaxPooling2D(2);
        Flatten;
        Dense(120, activation = relu);
        Dense(84, activation = relu);
        Dense(10, activation = softmax);

        compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
    }

    model Undocumented {
        input(6);
        Dense(2);
    }
}

cnn_runtime::include_model!("photographs");

#[cfg(test)]
mod tests {
    use super::{LeNet, Photographs};

    #[test]
    fn sizes() {
        assert_eq!(LeNet::PARAMS, 61_706);
        assert_eq!(Photographs::OUTPUT_SHAPE, [10]);
    }
}
