//! The page as it is written: headings, words, tables, and pictures as data URIs.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cnn_pictures::image::RgbImage;
use cnn_pictures::{Error, Format, Svg, encode};

const STYLE: &str = include_str!("style.css");

/// A page of HTML.
#[derive(Default)]
pub struct Page {
    body: String,
    chapters: Vec<String>,
}

impl Page {
    /// A new chapter.
    pub fn chapter(&mut self, title: &str) {
        self.chapters.push(title.to_owned());
        let number = self.chapters.len();
        let _ = writeln!(self.body, "<h2 id=\"c{number}\">{number}. {}</h2>", escape(title));
    }

    /// A heading within a chapter.
    pub fn heading(&mut self, title: &str) {
        let _ = writeln!(self.body, "<h3>{}</h3>", escape(title));
    }

    /// A paragraph. It is text, in which `code` stands between backquotes.
    pub fn say(&mut self, text: &str) {
        let _ = writeln!(self.body, "<p>{}</p>", with_code(text));
    }

    /// Something missing, and how to get it.
    pub fn missing(&mut self, text: &str) {
        let _ = writeln!(self.body, "<p class=\"missing\">{}</p>", with_code(text));
    }

    /// Lines of code, which keep their places.
    pub fn code(&mut self, lines: &str) {
        let _ = writeln!(self.body, "<pre>{}</pre>", escape(lines.trim_end()));
    }

    /// Lines of a log, which are broken where the page is too narrow.
    pub fn log(&mut self, lines: &str) {
        let _ = writeln!(self.body, "<pre class=\"log\">{}</pre>", escape(lines.trim_end()));
    }

    /// A table; its first row names the columns.
    pub fn table<const N: usize>(&mut self, rows: &[[String; N]]) {
        self.body.push_str("<div class=\"wide\"><table>\n");
        for (i, row) in rows.iter().enumerate() {
            let tag = if i == 0 { "th" } else { "td" };
            let cells = row.iter().map(|cell| format!("<{tag}>{}</{tag}>", with_code(cell)));
            let _ = writeln!(self.body, "<tr>{}</tr>", cells.collect::<String>());
        }
        self.body.push_str("</table></div>\n");
    }

    /// Matrices side by side with signs between them: input, `*`, kernel, `=`, result.
    pub fn matrices(&mut self, parts: &[Part<'_>]) {
        self.body.push_str("<div class=\"sum\">");
        for part in parts {
            match part {
                Part::Sign(sign) => {
                    let _ = write!(self.body, "<span>{}</span>", escape(sign));
                }
                Part::Matrix(values, columns) => {
                    self.body.push_str("<table class=\"matrix\">");
                    for row in values.chunks(*columns) {
                        let cells = row.iter().map(|value| format!("<td>{value}</td>"));
                        let _ = write!(self.body, "<tr>{}</tr>", cells.collect::<String>());
                    }
                    self.body.push_str("</table>");
                }
            }
        }
        self.body.push_str("</div>\n");
    }

    /// A picture with what it shows below. Pixels stay squares.
    pub fn picture(&mut self, image: &RgbImage, caption: &str) -> Result<(), Error> {
        let (png, jpeg) = (encode(image, Format::Png)?, encode(image, Format::Jpeg)?);
        // Photographs are much smaller as JPEG; squares and letters are not.
        let small = jpeg.len() * 4 < png.len();
        let (kind, bytes) = if small { ("jpeg", jpeg) } else { ("png", png) };
        let (width, height) = image.dimensions();
        let _ = writeln!(
            self.body,
            "<figure><img src=\"data:image/{kind};base64,{}\" width=\"{width}\" height=\"{height}\" \
             alt=\"{}\"><figcaption>{}</figcaption></figure>",
            STANDARD.encode(bytes),
            escape(caption),
            with_code(caption)
        );
        Ok(())
    }

    /// A drawing with what it shows below.
    pub fn drawing(&mut self, svg: &Svg, caption: &str) {
        let _ = writeln!(
            self.body,
            "<figure>{}<figcaption>{}</figcaption></figure>",
            svg.as_str(),
            with_code(caption)
        );
    }

    /// The whole document.
    pub fn finish(self, title: &str, opening: &str) -> String {
        let mut contents = String::new();
        for (i, chapter) in self.chapters.iter().enumerate() {
            let _ = write!(contents, "<li><a href=\"#c{}\">{}</a></li>", i + 1, escape(chapter));
        }
        let (title, opening) = (escape(title), with_code(opening));
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n\
             </head>\n<body>\n<main>\n<h1>{title}</h1>\n<p class=\"opening\">{opening}</p>\n\
             <nav><ol>{contents}</ol></nav>\n{}</main>\n</body>\n</html>\n",
            self.body
        )
    }
}

/// What stands in a row of [`Page::matrices`].
pub enum Part<'a> {
    /// Values row by row, and how many are in a row.
    Matrix(&'a [f32], usize),
    /// What stands between two.
    Sign(&'a str),
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn with_code(text: &str) -> String {
    let parts = escape(text);
    let parts = parts.split('`').enumerate();
    parts
        .map(|(i, part)| if i % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_code_is_marked() {
        assert_eq!(with_code("a < b is `x<y>`"), "a &lt; b is <code>x&lt;y&gt;</code>");
    }
}
