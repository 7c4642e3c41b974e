//! One layout for every text: what `cnn fmt` writes.
//!
//! Four spaces a level, one statement a line, blocks indented, at most one blank line between
//! groups, every comment where it was. A block of one short statement stays on its line, and a
//! line of more than [`MAX_WIDTH`] characters is broken at its arguments, one a line.
//!
//! It works on tokens, not on the parsed text, so that comments and the writing of numbers
//! survive, and so that the grammar can grow without it: brackets, `;`, `,` and a few words are all
//! it knows. The parser only decides whether there is something to format.

mod layout;
mod pieces;
mod tokens;

use crate::diagnostics::Diagnostic;
use crate::parse;

/// Lines longer than this are broken where possible.
pub const MAX_WIDTH: usize = 100;

/// The text in its one layout. It means the same, and formatting it again changes nothing.
///
/// Line ends stay what the first one is: `\n` or `\r\n`. A byte order mark is dropped.
///
/// # Errors
///
/// The syntax error that a text has; mistakes of meaning do not matter.
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    parse::parse(text, 0).map_err(|mistake| vec![mistake])?;
    let windows = text.find('\n').is_some_and(|at| text[..at].ends_with('\r'));
    let text = text.replace("\r\n", "\n");
    let formatted = layout::lay_out(&pieces::statements(tokens::read(&text)));
    Ok(if windows { formatted.replace('\n', "\r\n") } else { formatted })
}

#[cfg(test)]
mod tests;
