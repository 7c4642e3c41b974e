//! The networks of the lesson. Two of them are those of `specs/`, and can be looked into.

cnn_runtime::cnn! {
    /// As `specs/mnist_cnn.cnn`.
    model MnistCnn {
        input(28, 28, 1);

        Conv2D(32, kernel_size = 3, padding = same, activation = relu);
        MaxPooling2D(2);
        Conv2D(64, kernel_size = 3, padding = same, activation = relu);
        MaxPooling2D(2);
        Flatten;
        Dense(64, activation = relu);
        Dense(10, activation = softmax);

        inspect;
        compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
        fit(batch_size = 64, epochs = 10);
    }

    /// As `specs/cifar10_cnn.cnn`.
    model Cifar10Cnn {
        input(32, 32, 3);

        Conv2D(16, kernel_size = 2, padding = same, activation = relu);
        MaxPooling2D(2);
        Conv2D(32, kernel_size = 2, padding = same, activation = relu);
        MaxPooling2D(2);
        Conv2D(64, kernel_size = 2, padding = same, activation = relu);
        MaxPooling2D(2);
        Dropout(0.3);
        Flatten;
        Dense(500, activation = relu);
        Dropout(0.4);
        Dense(10, activation = softmax);

        inspect;
        compile(loss = categorical_crossentropy, optimizer = rmsprop, metrics = [accuracy]);
        fit(batch_size = 32, epochs = 10);
    }

    /// A worked convolution.
    model Worked {
        input(5, 5, 1);
        Conv2D(kernel = [[0, 1, 2], [2, 2, 0], [0, 1, 2]], use_bias = false, trainable = false);
    }

    /// The same input with a border of one zero.
    model Bordered {
        input(5, 5, 1);
        ZeroPadding2D(1);
        Conv2D(kernel = [[0, 1, 2], [2, 2, 0], [0, 1, 2]], use_bias = false, trainable = false);
    }

    /// A cross that looks for crosses.
    model Crossed {
        input(5, 5, 1);
        Conv2D(kernel = [[1, 0, 1], [0, 1, 0], [1, 0, 1]], use_bias = false, trainable = false);
    }

    /// The largest of four.
    model Pooled {
        input(4, 4, 1);
        MaxPooling2D(2);
    }

    /// Every output sees the whole image.
    model FullyConnected {
        input(28, 28, 1);
        Flatten;
        Dense(784);
    }

    /// Every output sees 3 x 3 pixels, with weights of its own.
    model LocallyConnected {
        input(28, 28, 1);
        LocallyConnected2D(1, 3);
    }

    /// Every output sees 3 x 3 pixels, all with the same weights.
    model Convolutional {
        input(28, 28, 1);
        Conv2D(1, 3);
    }

    /// One number a feature map.
    model Averaged {
        input(28, 28, 1);
        Conv2D(32, 3, padding = same, activation = relu);
        GlobalAveragePooling2D;
        Dense(10, activation = softmax);
    }
}
