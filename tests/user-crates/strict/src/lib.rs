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
        inspect;

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

    /// Every way to fill and to price weights, and some that stay.
    model Weights {
        input(8, 8, 1);
        inspect;

        Conv2D(kernel = [[[-1, 0.123456], [1e-9, 123456.789]], [[1e9, 0], [0.5, -7]]], bias = [0, -1.5]);
        Conv2D(2, 1, trainable = false, kernel_initializer = RandomUniform(-0.123456, 1));
        BatchNormalization(trainable = false);
        Conv2D(2, 2, kernel_initializer = he_normal, kernel_regularizer = L1L2(l1 = 1e-5, l2 = 0.000123456));
        Flatten;
        Dense(3, bias_initializer = Constant(0.0078125), kernel_initializer = random_normal);
        Dense(3, kernel_initializer = identity);
        Dense(4, kernel_initializer = Orthogonal(gain = -0.5));
        Dense(2, activation = softmax, kernel_initializer = TruncatedNormal(mean = 123456.5));

        compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
    }

    /// Statistics of the batch, chains that repeat, and a function of more than a hundred lines.
    model Residual {
        input(8, 8, 3);
        inspect;

        Conv2D(4, 3, padding = same, use_bias = false);
        repeat 9 {
            residual {
                BatchNormalization;
                ReLU;
                Conv2D(4, 3, padding = same, use_bias = false);
                MaxPooling2D(3, strides = 1, padding = same);
                BatchNormalization;
                Activation(tanh);
            }
        }
        branches concatenate {
            { GlobalAveragePooling2D; }
            { Flatten; Dense(3); }
            { GlobalMaxPooling2D; Dense(2); }
        }
        Dense(2, activation = softmax);

        compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
    }

    /// Statistics of the batch in two stages, the second of them with nothing to do backward.
    model Normal {
        input(4, 4, 1);
        inspect;
        BatchNormalization;
    }

    /// Three stages, and weights no larger than a pointer.
    model Normals {
        input(4, 4, 1);
        inspect;
        BatchNormalization;
        DepthwiseConv2D(1, use_bias = false);
        ReLU;
        DepthwiseConv2D(1, use_bias = false);
        BatchNormalization;
        ReLU;
        Flatten;
        Dense(1);
    }

    /// Nothing to learn.
    model Sobel {
        input(48, 64, 1);
        inspect;
        Conv2D(kernel = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], padding = same, use_bias = false, trainable = false);
    }

    model Undocumented {
        input(6);
        inspect;
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
