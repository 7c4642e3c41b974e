//! Where two texts part.

/// The first line that differs, as it is and as it should be.
pub fn first(path: &str, found: &str, wanted: &str) -> String {
    let (mut old, mut new) = (found.split('\n'), wanted.split('\n'));
    let mut line = 1;
    loop {
        match (old.next(), new.next()) {
            (Some(old), Some(new)) if old == new => line += 1,
            (None, None) => return String::new(),
            (old, new) => {
                let side = |mark: char, text: Option<&str>| match text {
                    // A carriage return would be invisible.
                    Some(text) => format!("  {mark} {}\n", text.replace('\r', "\\r")),
                    None => format!("  {mark} (the end of the file)\n"),
                };
                let place = format!(" --> {path}:{line}\n");
                return [place, side('-', old), side('+', new)].concat();
            }
        }
    }
}
