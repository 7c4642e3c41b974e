//! Reading a checkpoint: nothing is believed before it is compared with the file's length and with
//! the model, and nothing is allocated before it is believed.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::Layout;
use super::error::{CheckpointProblem, Difference};
use super::write::{FORMAT, hex};

/// The longest header that the format allows.
const HEADER_LIMIT: u64 = 100_000_000;
const LENGTH_BYTES: u64 = 8;

pub(super) fn read(
    path: &Path,
    layout: &Layout<'_>,
    weights: &mut [f32],
) -> Result<(), CheckpointProblem> {
    let kind = fs::metadata(path).map_err(CheckpointProblem::read)?;
    if !kind.is_file() {
        return Err(CheckpointProblem::NotAFile);
    }
    let mut file = File::open(path).map_err(CheckpointProblem::read)?;
    let file_len = file.metadata().map_err(CheckpointProblem::read)?.len();
    let (header_len, header) = read_header(&mut file, file_len)?;
    compare(&header, layout)?;

    let (declared, found) = (header.data_len() as u64, file_len - LENGTH_BYTES - header_len);
    if declared != found {
        return Err(CheckpointProblem::DataLength { declared, found });
    }
    let mut data = vec![0; header.data_len()];
    file.read_exact(&mut data).map_err(CheckpointProblem::read)?;
    for tensor in layout.tensors {
        let stored = header.info(tensor.name).expect("`compare` found every tensor");
        let bytes = &data[stored.data_offsets.0..stored.data_offsets.1];
        widen(bytes, stored.dtype, &mut weights[tensor.offset..][..tensor.len()]);
    }
    Ok(())
}

fn read_header(file: &mut File, file_len: u64) -> Result<(u64, Metadata), CheckpointProblem> {
    let mut length = [0; LENGTH_BYTES as usize];
    file.read_exact(&mut length).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => CheckpointProblem::TooShort { file_len },
        _ => CheckpointProblem::read(error),
    })?;
    let declared = u64::from_le_bytes(length);
    if declared > HEADER_LIMIT || declared > file_len.saturating_sub(LENGTH_BYTES) {
        let limit = HEADER_LIMIT;
        return Err(CheckpointProblem::HeaderLength { declared, file_len, limit });
    }
    let mut header = vec![0; declared as usize];
    file.read_exact(&mut header).map_err(CheckpointProblem::read)?;
    Ok((declared, serde_json::from_slice(&header).map_err(CheckpointProblem::Header)?))
}

/// Compares the tensors and, if the file is one of ours, the architecture.
fn compare(header: &Metadata, layout: &Layout<'_>) -> Result<(), CheckpointProblem> {
    let differences = differences(header, layout);
    let expected = hex(layout.architecture);
    let entry = |key| header.metadata().as_ref().and_then(|entries| entries.get(key));
    let ours = entry("format").is_some_and(|format| format == FORMAT);
    if ours && entry("architecture") != Some(&expected) {
        let text = |key| entry(key).map_or_else(|| "unknown".to_owned(), Clone::clone);
        return Err(CheckpointProblem::Architecture {
            found_model: text("model"),
            found: text("architecture"),
            model: layout.model.to_owned(),
            expected,
            differences,
        });
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(CheckpointProblem::Tensors { model: layout.model.to_owned(), differences })
}

fn differences(header: &Metadata, layout: &Layout<'_>) -> Vec<Difference> {
    let mut differences = Vec::new();
    for tensor in layout.tensors {
        let name = tensor.name.to_owned();
        match header.info(tensor.name) {
            None => differences.push(Difference::Missing { name }),
            Some(stored) if stored.shape != tensor.shape => {
                let (expected, found) = (tensor.shape.to_vec(), stored.shape.clone());
                differences.push(Difference::Shape { name, expected, found });
            }
            Some(stored) if !matches!(stored.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) => {
                differences.push(Difference::Dtype { name, found: stored.dtype });
            }
            Some(_) => {}
        }
    }
    for name in header.offset_keys() {
        if layout.tensors.iter().all(|tensor| tensor.name != name) {
            let shape = header.info(&name).map_or_else(Vec::new, |stored| stored.shape.clone());
            differences.push(Difference::Unknown { name, shape });
        }
    }
    differences
}

/// Turns stored numbers into f32, exactly.
fn widen(bytes: &[u8], dtype: Dtype, values: &mut [f32]) {
    if dtype == Dtype::F32 {
        for (value, bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
            *value = f32::from_le_bytes(*bytes);
        }
        return;
    }
    for (value, bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
        let bits = u16::from_le_bytes(*bytes);
        *value = match dtype {
            Dtype::BF16 => f32::from_bits(u32::from(bits) << 16),
            _ => half(bits),
        };
    }
}

/// The value of an IEEE 754 half-precision number: 1 sign, 5 exponent and 10 fraction bits.
fn half(bits: u16) -> f32 {
    let (exponent, fraction) = (u32::from(bits >> 10 & 0x1F), u32::from(bits & 0x3FF));
    let magnitude = match exponent {
        0 => fraction as f32 / 16_777_216.0, // subnormal: units of 2^-24
        31 => f32::from_bits(0x7F80_0000 | fraction << 13),
        _ => f32::from_bits((exponent + 127 - 15) << 23 | fraction << 13),
    };
    if bits >> 15 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::half;

    /// Values from the table of examples in IEEE 754 half precision.
    #[test]
    fn half_precision_is_widened_exactly() {
        let cases = [
            (0x0000, 0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03FF, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x7BFF, 65504.0),
            (0x7C00, f32::INFINITY),
            (0xFC00, f32::NEG_INFINITY),
        ];
        for (bits, value) in cases {
            assert_eq!(half(bits).to_bits(), f32::to_bits(value), "{bits:#06x}");
        }
        assert!(half(0x7E00).is_nan());
        assert_eq!(half(0x8000).to_bits(), (-0.0_f32).to_bits());
    }
}
