//! Networks where nothing means what it usually does, and where the runtime has another name.

#![no_implicit_prelude]
#![deny(warnings)]

/// Names of the standard library with other meanings.
pub mod shadowed {
    /// Takes one parameter only.
    pub type Result<T> = ::core::result::Result<T, ::std::string::String>;

    /// Not a vector.
    #[derive(Debug)]
    pub struct Vec;

    /// Not an option.
    #[derive(Debug)]
    pub struct Option;

    /// Not a box.
    #[derive(Debug)]
    pub struct Box;

    /// Constructors that anybody would take for others.
    #[derive(Debug)]
    pub enum Answer {
        /// Not that of a result.
        Ok,
        /// Nor this.
        Err,
        /// Not that of an option.
        Some,
        /// Nor this.
        None,
    }
    #[allow(unused_imports)]
    pub use Answer::*;

    mod core {}
    mod std {}
    mod nets {}

    ::nets::cnn! {
        /// Inline, with all kinds of layers.
        model Inline {
            input(8, 8, 1);
            inspect;
            Conv2D(4, 3, activation = relu);
            MaxPooling2D(2);
            Dropout(0.1);
            Flatten;
            Dense(5, activation = tanh);
            Dense(3, activation = softmax);
            compile(loss = categorical_crossentropy, optimizer = rmsprop);
        }
    }

    ::nets::include_model!("net");

    /// Both work.
    #[must_use]
    pub fn both() -> [usize; 2] {
        [Inline::new(1).weights().len(), FromFile::new(1).weights().len()]
    }
}

/// Models beside and inside each other.
pub mod many {
    ::nets::cnn! {
        /// The first.
        model First {
            input(4);
            same: Dense(1);
        }
    }

    ::nets::cnn! {
        /// The second, with a layer of the first one's name.
        model Second {
            input(4);
            same: Dense(2);
        }
    }

    /// A model in a function.
    #[must_use]
    pub fn inside() -> (usize, &'static str) {
        ::nets::cnn! {
            model First {
                input(4);
                same: Dense(3);
            }
        }
        (First::PARAMS, First::SUMMARY)
    }

    #[cfg(test)]
    mod tests {
        use ::core::assert_eq;

        #[test]
        fn each_has_its_own_parameters_and_summary() {
            ::nets::cnn! {
                model First {
                    input(4);
                    same: Dense(4);
                }
            }
            let own = (First::PARAMS, First::SUMMARY);
            let (first, second) = (super::First::PARAMS, super::Second::PARAMS);
            let summaries =
                [super::First::SUMMARY, super::Second::SUMMARY, super::inside().1, own.1];
            assert_eq!([first, second, super::inside().0, own.0], [5, 10, 15, 20]);
            let params = ["5 (", "10 (", "15 (", "20 ("];
            for (summary, params) in ::core::iter::Iterator::zip(
                ::core::iter::IntoIterator::into_iter(summaries),
                params,
            ) {
                ::core::assert!(summary.contains(params), "{summary}");
            }
        }
    }
}
