//! The macro's door: any tokens expand to tokens.

#![no_main]

#[path = "../../cnn-macros/src/expand.rs"]
mod expand;
#[path = "../../cnn-macros/src/tokens.rs"]
mod tokens;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(tokens) = format!("[::cnn_runtime] {text}").parse() {
        let _ = expand::expand(tokens, |_| Some(7));
    }
});
