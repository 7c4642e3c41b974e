//! Any bytes are an image, which gets the size that was asked for, or an error that names the file.

#![no_main]

mod file;

use cnn_runtime::data::images::{Color, Images, Sizing};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    file::with(bytes, |path| {
        for sizing in [Sizing::Refuse, Sizing::Resize, Sizing::Crop, Sizing::CropAndResize] {
            match Images::new(5, 3).sizing(sizing).color(Color::Grey).read(path) {
                Ok(image) => assert_eq!(image.dim(), (5, 3, 1)),
                Err(error) => assert!(error.to_string().starts_with(&path.display().to_string())),
            }
        }
        let _ = Images::new(2, 9).sizing(Sizing::CropAndResize).read(path);
    });
});
