//! Rust text with comments and literals blanked, so that a rule about code is not misled by prose.
//!
//! It is not a parser: it knows where comments, strings and characters begin and end, no more.

/// The same text, byte for byte as long, with every comment, string and character literal blanked.
/// Line breaks stay, so line numbers stay.
pub fn mask(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_or_comment_end(bytes, at);
        match end {
            Some(end) => {
                blank(&mut out, at, end);
                at = end;
            }
            None => at += 1,
        }
    }
    String::from_utf8(out).expect("blanking whole literals and comments keeps the text valid UTF-8")
}

fn blank(out: &mut [u8], from: usize, to: usize) {
    for byte in &mut out[from..to] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// Where the comment or literal that starts at `at` ends, or nothing when plain code starts there.
fn literal_or_comment_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return Some(find(bytes, at, b"\n").unwrap_or(bytes.len()));
    }
    if rest.starts_with(b"/*") {
        return Some(block_comment_end(bytes, at));
    }
    let inside_word = at > 0 && is_word(bytes[at - 1]);
    if !inside_word && let Some(end) = raw_string_end(bytes, at) {
        return Some(end);
    }
    match bytes[at] {
        b'"' => Some(quoted_end(bytes, at, b'"')),
        b'\'' => char_end(bytes, at),
        _ => None,
    }
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// `r"…"`, `r#"…"#`, `br#"…"#`, `cr"…"`: no escapes inside.
fn raw_string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    if matches!(bytes.get(at), Some(b'b' | b'c')) {
        at += 1;
    }
    if bytes.get(at) != Some(&b'r') {
        return None;
    }
    at += 1;
    let hashes = bytes[at..].iter().take_while(|byte| **byte == b'#').count();
    at += hashes;
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut closing = vec![b'"'];
    closing.extend(std::iter::repeat_n(b'#', hashes));
    Some(find(bytes, at + 1, &closing).map_or(bytes.len(), |found| found + closing.len()))
}

fn quoted_end(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A character literal, told from a lifetime: a lifetime has no closing quote after one character.
fn char_end(bytes: &[u8], start: usize) -> Option<usize> {
    if bytes.get(start + 1) == Some(&b'\\') {
        return Some(quoted_end(bytes, start, b'\''));
    }
    let text = std::str::from_utf8(&bytes[start + 1..]).ok()?;
    let width = text.chars().next()?.len_utf8();
    (bytes.get(start + 1 + width) == Some(&b'\'')).then_some(start + width + 2)
}

fn find(bytes: &[u8], from: usize, wanted: &[u8]) -> Option<usize> {
    bytes.get(from..)?.windows(wanted.len()).position(|window| window == wanted).map(|at| at + from)
}

pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_blanked_and_nothing_else() {
        let text =
            "let a = \"{ // }\"; // {\nlet b = '{'; /* { /* } */ */ fn f<'a>(x: &'a str) {}\n";
        let masked = mask(text);
        assert_eq!(masked.len(), text.len());
        assert_eq!(masked.matches('{').count(), 1, "{masked}");
        assert!(masked.contains("fn f<'a>(x: &'a str) {}"), "{masked}");
        assert_eq!(masked.lines().count(), 2);
    }

    #[test]
    fn raw_strings_and_escapes_end_where_rust_ends_them() {
        let masked =
            mask("let a = r#\"\"{\"#; let b = \"\\\"{\"; let c = '\\''; let d = b\"{\"; g({})");
        assert_eq!(masked.matches('{').count(), 1, "{masked}");
        assert!(masked.contains("let d = b"), "{masked}");
        assert!(masked.contains("g({})"), "{masked}");
    }
}
