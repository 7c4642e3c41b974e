//! The bytes of a checkpoint.

use std::io::{self, BufWriter, Write};

use serde_json::{Map, Value, json};

use super::Layout;

pub(super) const FORMAT: &str = "cnn";
const ALIGNMENT: usize = 8;

/// The architecture hash as the metadata hold it.
pub(super) fn hex(hash: u64) -> String {
    format!("{hash:016x}")
}

/// Writes a safetensors file. The header is made here and not by the safetensors crate, whose
/// metadata come in a random order: equal weights shall give equal files.
pub(super) fn write(writer: impl Write, layout: &Layout<'_>, weights: &[f32]) -> io::Result<()> {
    let mut writer = BufWriter::new(writer);
    let header = header(layout).to_string();
    let padded = header.len().next_multiple_of(ALIGNMENT);
    writer.write_all(&(padded as u64).to_le_bytes())?;
    write!(writer, "{header:padded$}")?;
    for tensor in layout.tensors {
        for value in &weights[tensor.offset..][..tensor.len()] {
            writer.write_all(&value.to_le_bytes())?;
        }
    }
    writer.flush()
}

fn header(layout: &Layout<'_>) -> Value {
    let mut header = Map::new();
    let metadata = json!({
        "architecture": hex(layout.architecture),
        "format": FORMAT,
        "model": layout.model,
    });
    header.insert("__metadata__".to_owned(), metadata);
    let mut start = 0;
    for tensor in layout.tensors {
        let end = start + tensor.len() * size_of::<f32>();
        let info = json!({ "dtype": "F32", "shape": tensor.shape, "data_offsets": [start, end] });
        header.insert(tensor.name.to_owned(), info);
        start = end;
    }
    Value::Object(header)
}
