//! Keys as providers write them: URL-encoded.

use std::borrow::Cow;

/// What a plus sign stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plus {
    Itself,
    Space,
}

/// A key of a server access log. S3 encodes the path as it was requested, and that was encoded by whoever asked, so that a space
/// is `%2520`: it is decoded twice. A line that S3 writes for itself (an expiry, one key of many) may be encoded once only;
/// decoding that twice matters only to a key that contains a `%` and two hexadecimal digits, and such a key gets the same other
/// name on every line.
pub fn of_a_server_log(key: &str) -> Cow<'_, str> {
    match decoded(key, Plus::Space) {
        Cow::Borrowed(once) => decoded(once, Plus::Itself),
        Cow::Owned(once) => Cow::Owned(decoded(&once, Plus::Itself).into_owned()),
    }
}

/// Decodes once. What is no encoding stays as it is, and so does a text that would be no UTF-8.
pub fn decoded(text: &str, plus: Plus) -> Cow<'_, str> {
    let is_coded = |byte: &u8| *byte == b'%' || (*byte == b'+' && plus == Plus::Space);
    if !text.as_bytes().iter().any(is_coded) {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let (byte, after) = match first {
            b'%' => escaped(after).unwrap_or((*first, after)),
            b'+' if plus == Plus::Space => (b' ', after),
            _ => (*first, after),
        };
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8(decoded).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The byte of two digits, and what is behind them.
fn escaped(digits: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, after @ ..] = digits else { return None };
    Some((hex(*high)? * 16 + hex(*low)?, after))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_decoded_as_often_as_they_were_encoded() {
        assert_eq!(of_a_server_log("photos/2019/08/puppy.jpg"), "photos/2019/08/puppy.jpg");
        assert_eq!(of_a_server_log("my%2520holiday.jpg"), "my holiday.jpg");
        assert_eq!(of_a_server_log("my%20holiday.jpg"), "my holiday.jpg");
        assert_eq!(of_a_server_log("a%252Bb"), "a+b");
        assert_eq!(of_a_server_log("a%2Bb"), "a+b");
        assert_eq!(of_a_server_log("100%2525"), "100%");
        assert_eq!(of_a_server_log("gr%25C3%25BC%25C3%259Fe"), "grüße");
        assert_eq!(decoded("my+holiday", Plus::Space), "my holiday");
        assert_eq!(decoded("my+holiday", Plus::Itself), "my+holiday");
    }

    #[test]
    fn what_is_no_encoding_stays() {
        for text in ["100%", "%zz", "%4", "%ff", "a%C3"] {
            assert_eq!(decoded(text, Plus::Itself), text);
        }
    }
}
