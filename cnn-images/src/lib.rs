//! Whether a PNG or JPEG file is all there.
//!
//! Decoders are made to show what they can: of a JPEG that was cut they fill the rest with grey, and say
//! nothing. A network would learn the grey.

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xff\xd8";

/// Whether the end of a picture's file is missing: of a PNG its last chunk, of a JPEG its end-of-image
/// marker. What follows these does not count, and other files are never called cut.
///
/// Takes time in proportion to the bytes, and no memory. The formats are those of ISO/IEC 15948 and
/// ISO/IEC 10918-1, annex B.
#[must_use]
pub fn is_cut(bytes: &[u8]) -> bool {
    if let Some(chunks) = bytes.strip_prefix(PNG) {
        return !png_ends(chunks).unwrap_or(false);
    }
    bytes.strip_prefix(JPEG).is_some_and(|segments| !jpeg_ends(segments).unwrap_or(false))
}

/// Chunks are a length, four letters, as many bytes, and a checksum. `None` if one is incomplete.
fn png_ends(mut chunks: &[u8]) -> Option<bool> {
    loop {
        let (length, rest) = chunks.split_first_chunk()?;
        let (kind, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        chunks = rest.get(length.checked_add(4)?..)?;
        if kind == b"IEND" {
            return Some(true);
        }
    }
}

/// Markers are 255 and a code. Most start a segment, which tells its length, so that the end of a small
/// picture inside of one is not met. `None` if a marker or segment is incomplete.
fn jpeg_ends(mut rest: &[u8]) -> Option<bool> {
    // What lies between segments is a scan's data, or nothing that a decoder minds.
    while let Some(at) = rest.iter().position(|&byte| byte == 0xff) {
        let (&code, behind) = rest[at + 1..].split_first()?;
        rest = match code {
            0xd9 => return Some(true),
            // A marker may be preceded by any number of these.
            0xff => &rest[at + 1..],
            // The byte 255 itself in a scan, and markers that stand alone.
            0 | 1 | 0xd0..=0xd8 => behind,
            _ => behind.get(usize::from(u16::from_be_bytes(*behind.first_chunk()?))..)?,
        };
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_start_is_cut(whole: &[u8], magic: usize) {
        for end in 0..whole.len() {
            assert_eq!(is_cut(&whole[..end]), end >= magic, "{end} of {}", whole.len());
        }
        assert!(!is_cut(whole));
        assert!(!is_cut(&[whole, b"and more"].concat()));
    }

    #[test]
    fn a_png_ends_with_its_last_chunk() {
        let mut png = PNG.to_vec();
        // The letters in another chunk's data are no chunk.
        for (kind, data) in
            [(b"IHDR", &[7; 13][..]), (b"IDAT", b"\0\0\0\0IEND\0\0\0\0"), (b"IEND", b"")]
        {
            png.extend_from_slice(&(data.len() as u32).to_be_bytes());
            png.extend_from_slice(kind);
            png.extend_from_slice(data);
            png.extend_from_slice(&[1, 2, 3, 4]);
        }
        every_start_is_cut(&png, PNG.len());
        // Longer than any memory.
        assert!(is_cut(&[PNG, &[255; 40]].concat()));
    }

    #[test]
    fn a_jpeg_ends_with_its_marker() {
        let parts: [&[u8]; 7] = [
            JPEG,
            // A small picture inside a segment, with its own end.
            &[0xff, 0xe1, 0, 8, 0xff, 0xd8, 7, 7, 0xff, 0xd9],
            // A bare byte between, and fill bytes.
            &[9, 0xff, 0xff, 0xff, 0xdb, 0, 3, 1],
            // A scan with 255 in its data, and restarts.
            &[0xff, 0xda, 0, 4, 1, 2, 5, 0xff, 0, 6, 0xff, 0xd0, 8, 0xff, 0xd7],
            // A second one.
            &[0xff, 0xc4, 0, 2, 0xff, 0xda, 0, 2, 0xff, 0],
            // A length that no segment can have.
            &[0xff, 0xfe, 0, 0],
            &[0xff, 0xd9],
        ];
        every_start_is_cut(&parts.concat(), JPEG.len());
        assert!(is_cut(&[JPEG, &[0xff; 1000]].concat()));
    }

    #[test]
    fn other_files_are_not_called_cut() {
        for bytes in [&b""[..], b"\xff", b"<html>", b"GIF89a", b"\x89PNG"] {
            assert!(!is_cut(bytes));
        }
    }
}
