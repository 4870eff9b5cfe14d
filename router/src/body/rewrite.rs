//! Rewrites what s3s 0.14.1 loses or refuses in the XML of requests: it drops CDATA without a word, so that
//! `<Key>backup<![CDATA[&old]]></Key>` would delete `backup`, and refuses references to characters beyond
//! U+FFFF. Nothing else is changed, and nothing is understood here.

use std::borrow::Cow;

use quick_xml::events::{BytesText, Event};
use quick_xml::{Reader, Writer};

use crate::error::Error;
use crate::error::code::Code;
use crate::limits;

/// The same document without CDATA and without references beyond U+FFFF.
pub fn plain(xml: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    if ![&b"<!"[..], b"&#"].iter().any(|mark| xml.windows(2).any(|pair| pair == *mark)) {
        return Ok(Cow::Borrowed(xml));
    }
    let mut reader = Reader::from_reader(xml);
    let mut writer = Writer::new(Vec::with_capacity(xml.len()));
    loop {
        let event = reader.read_event().map_err(|error| malformed(&error))?;
        let event = match event {
            Event::Eof => return Ok(Cow::Owned(writer.into_inner())),
            Event::CData(data) => {
                Event::Text(data.partial_escape().map_err(|error| malformed(&error))?)
            }
            Event::GeneralRef(name) => match name.resolve_char_ref() {
                Ok(Some(character)) if u32::from(character) > 0xffff => {
                    Event::Text(BytesText::from_escaped(character.to_string()))
                }
                Ok(_) => Event::GeneralRef(name),
                Err(error) => return Err(malformed(&error)),
            },
            // It could define entities; no client of S3 sends one.
            Event::DocType(_) => return Err(Error::new(Code::MalformedXML)),
            other => other,
        };
        writer.write_event(event).map_err(|error| malformed(&error))?;
        // Escapes are longer than what they stand for.
        if writer.get_ref().len() as u64 > limits::XML_BODY_BYTES_MAX {
            return Err(Error::new(Code::MaxMessageLengthExceeded));
        }
    }
}

fn malformed(error: &dyn std::error::Error) -> Error {
    tracing::debug!(%error, "malformed xml");
    Error::new(Code::MalformedXML)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn rewritten(xml: &str) -> String {
        String::from_utf8(plain(xml.as_bytes()).unwrap().into_owned()).unwrap()
    }

    #[test]
    fn only_what_s3s_would_lose_is_rewritten() {
        for (given, expected) in [
            ("<a>x<![CDATA[&<>]]>y</a>", "<a>x&amp;&lt;&gt;y</a>"),
            ("<a><![CDATA[]]></a>", "<a></a>"),
            ("<a>&#128512;&#x1F600;</a>", "<a>\u{1f600}\u{1f600}</a>"),
            ("<a>&#38;&#13;&amp;</a>", "<a>&#38;&#13;&amp;</a>"),
            ("<a b='&#38;'/><!-- <![CDATA[ -->", "<a b='&#38;'/><!-- <![CDATA[ -->"),
            ("<?xml version='1.0'?>\r\n<a/>", "<?xml version='1.0'?>\r\n<a/>"),
        ] {
            assert_eq!(rewritten(given), expected);
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let escapes = "<".repeat(usize::try_from(limits::XML_BODY_BYTES_MAX / 2).unwrap());
        for (given, code) in [
            ("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "MalformedXML"),
            ("<a><![CDATA[x</a>", "MalformedXML"),
            ("<a>&#1114112;</a>", "MalformedXML"),
            (&format!("<a><![CDATA[{escapes}]]></a>"), "MaxMessageLengthExceeded"),
        ] {
            assert_eq!(plain(given.as_bytes()).unwrap_err().code(), code);
        }
    }
}
