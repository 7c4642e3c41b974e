//! Drawings of lines and letters.

use std::fmt::{self, Display, Write as _};

/// A whole SVG document, as text. Its root has a `viewBox` and a size in pixels, so that a page may
/// show it at any width (`max-width: 100%; height: auto`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Svg(String);

impl Svg {
    /// The document.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The document.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Display for Svg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How letters stand to their place.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing under way.
pub(crate) struct Drawing {
    out: String,
}

impl Drawing {
    /// White paper of a size in pixels; `title` is for those who hear the page.
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let mut out = String::new();
        let title = escape(title);
        let _ = write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" \
             font-family=\"'DejaVu Sans', Verdana, sans-serif\">\n<title>{title}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
        );
        Self { out }
    }

    pub fn finish(mut self) -> Svg {
        self.out.push_str("</svg>\n");
        Svg(self.out)
    }

    /// A rectangle with attributes of its own.
    pub fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, rest: &str) {
        let (x, y) = (short(x), short(y));
        let (width, height) = (short(width), short(height));
        let _ = writeln!(
            self.out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" {rest}/>"
        );
    }

    /// A path of straight and curved strokes.
    pub fn path(&mut self, d: &str, rest: &str) {
        let _ = writeln!(self.out, "<path d=\"{d}\" fill=\"none\" {rest}/>");
    }

    /// A filled dot.
    pub fn dot(&mut self, x: f64, y: f64, radius: f64, color: &str) {
        let (x, y) = (short(x), short(y));
        let _ =
            writeln!(self.out, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"{color}\"/>");
    }

    /// A line of letters on the base line `y`, with attributes of its own.
    pub fn text(&mut self, x: f64, y: f64, size: f64, anchor: Anchor, text: &str, rest: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let (x, y, text) = (short(x), short(y), escape(text));
        let _ = writeln!(
            self.out,
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" text-anchor=\"{anchor}\" {rest}>{text}</text>"
        );
    }
}

/// A coordinate with at most two digits behind the point.
pub(crate) fn short(value: f64) -> f64 {
    // Adding 0 makes +0 of -0.
    (value * 100.0).round() / 100.0 + 0.0
}

/// Text for XML; characters that XML 1.0 cannot hold are replaced.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        let mut drawing = Drawing::new(10.0, 10.0, "</title><script>");
        drawing.text(1.0, 2.0, 8.0, Anchor::Start, "a\"<b>&\u{0}", "");
        let svg = drawing.finish().into_string();
        assert!(svg.contains("<title>&lt;/title&gt;&lt;script&gt;</title>"), "{svg}");
        assert!(svg.contains(">a&quot;&lt;b&gt;&amp;\u{fffd}</text>"), "{svg}");
    }
}
