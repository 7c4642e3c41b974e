//! Any text gets an answer, whose mistakes lie in the text and can be shown; what is right can be
//! summed up, formatted without another meaning, and, if it is small, emitted.

#![no_main]

use cnn_dsl::codegen::{Options, emit};

libfuzzer_sys::fuzz_target!(|text: &str| {
    match cnn_dsl::compile(text) {
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            for mistake in &mistakes {
                assert!(text.get(mistake.span.clone()).is_some());
            }
            let _ = cnn_dsl::render("fuzzed.cnn", text, &mistakes, false);
        }
        Ok(models) => {
            for model in &models {
                assert!(!cnn_dsl::summary::table(model).is_empty());
            }
            let formatted = cnn_dsl::format::format(text).expect("a right text can be formatted");
            assert_eq!(cnn_dsl::format::format(&formatted).as_ref(), Ok(&formatted));
            assert_eq!(cnn_dsl::compile(&formatted).as_ref(), Ok(&models));
            if models.iter().map(|model| model.layers.len()).sum::<usize>() < 100 {
                let _ = emit(&models, &Options::default());
            }
        }
    }
});
