//! Bounds aws-chunked framing before s3s reads it. s3s 0.14.1 collects each chunk whole, and clients may
//! send 5 GiB in one. Unsigned chunks are cut into small ones on the way; a signed chunk must be
//! whole to be verified, so its size is bounded. What the framing carries is verified by s3s.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures::Stream;
use http::HeaderMap;
use http_body_util::StreamBody;
use s3s::{Body, StdError};

use crate::limits;

/// What a malformed framing is called in logs; the client reads an `InvalidRequest` or `IncompleteBody`.
#[derive(Debug, thiserror::Error)]
enum Malformed {
    #[error("FormatError: a chunk of the aws-chunked body has no proper size line")]
    Line,
    #[error("TooLarge: a signed chunk has {0} bytes; send chunks of at most 1 MiB")]
    Chunk(u64),
    #[error("the aws-chunked body ends before its last chunk")]
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Chunks are cut.
    Unsigned,
    /// Chunks pass as they are.
    Signed,
}

/// Wraps the body of a request that says it is aws-chunked.
pub fn bound(headers: &HeaderMap, body: Body) -> Body {
    let payload = headers.get("x-amz-content-sha256").map_or(&b""[..], |value| value.as_bytes());
    let mode = match payload {
        b"STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Mode::Unsigned,
        payload if payload.starts_with(b"STREAMING-") => Mode::Signed,
        _ => return body,
    };
    let framing = Framing { state: State::Line, line: Vec::new(), mode };
    let stream = Bounded { body, framing, out: VecDeque::new(), ended: false };
    Body::http_body(StreamBody::new(futures::StreamExt::map(stream, |chunk| {
        chunk.map(http_body::Frame::data)
    })))
}

struct Bounded {
    body: Body,
    framing: Framing,
    out: VecDeque<Bytes>,
    ended: bool,
}

impl Stream for Bounded {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(bytes) = this.out.pop_front() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            let malformed = match ready!(Pin::new(&mut this.body).poll_next(cx)) {
                Some(Ok(bytes)) => this.framing.push(bytes, &mut this.out).err(),
                Some(Err(error)) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    this.ended = true;
                    (this.framing.state != State::Rest).then_some(Malformed::Ended)
                }
            };
            if let Some(malformed) = malformed {
                this.ended = true;
                this.out.clear();
                return Poll::Ready(Some(Err(Box::new(malformed))));
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// In a chunk's size line.
    Line,
    /// So many bytes of the chunk are still to come.
    Data(u64),
    /// So many bytes of the line end after the chunk.
    End(u8),
    /// Behind the last chunk: trailers.
    Rest,
}

struct Framing {
    state: State,
    line: Vec<u8>,
    mode: Mode,
}

impl Framing {
    fn push(&mut self, mut bytes: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), Malformed> {
        if self.mode == Mode::Signed {
            out.push_back(bytes.clone());
        }
        while !bytes.is_empty() {
            match self.state {
                State::Line => self.line(&mut bytes, out)?,
                State::Data(left) => {
                    let piece =
                        left.min(bytes.len() as u64).min(limits::UNSIGNED_CHUNK_BYTES as u64);
                    let piece = bytes
                        .split_to(usize::try_from(piece).unwrap_or(usize::MAX).min(bytes.len()));
                    let left = left.saturating_sub(piece.len() as u64);
                    self.state = if left == 0 { State::End(2) } else { State::Data(left) };
                    if self.mode == Mode::Unsigned {
                        out.push_back(Bytes::from(format!("{:x}\r\n", piece.len())));
                        out.push_back(piece);
                        out.push_back(Bytes::from_static(b"\r\n"));
                    }
                }
                State::End(left) => {
                    let expected = if left == 2 { b'\r' } else { b'\n' };
                    if bytes.get_u8() != expected {
                        return Err(Malformed::Line);
                    }
                    self.state = if left == 2 { State::End(1) } else { State::Line };
                }
                State::Rest => {
                    if self.mode == Mode::Unsigned {
                        out.push_back(bytes.split_off(0));
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes the size line, or the beginning of it.
    fn line(&mut self, bytes: &mut Bytes, out: &mut VecDeque<Bytes>) -> Result<(), Malformed> {
        let end = bytes.iter().position(|byte| *byte == b'\n').map(|place| place + 1);
        let piece = bytes.split_to(end.unwrap_or(bytes.len()));
        self.line.extend_from_slice(&piece);
        if self.line.len() > limits::CHUNK_LINE_BYTES_MAX {
            return Err(Malformed::Line);
        }
        if end.is_none() {
            return Ok(());
        }
        let size = self.size().ok_or(Malformed::Line)?;
        self.line.clear();
        if self.mode == Mode::Signed && size > limits::SIGNED_CHUNK_BYTES_MAX {
            return Err(Malformed::Chunk(size));
        }
        self.state = if size == 0 { State::Rest } else { State::Data(size) };
        if size == 0 && self.mode == Mode::Unsigned {
            out.push_back(Bytes::from_static(b"0\r\n"));
        }
        Ok(())
    }

    fn size(&self) -> Option<u64> {
        let line = self.line.strip_suffix(b"\r\n")?;
        let digits = line.split(|byte| *byte == b';').next()?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    fn run(mode: Mode, wire: &[u8], step: usize) -> Result<Vec<Bytes>, Malformed> {
        let mut framing = Framing { state: State::Line, line: Vec::new(), mode };
        let mut out = VecDeque::new();
        for piece in wire.chunks(step) {
            framing.push(Bytes::copy_from_slice(piece), &mut out)?;
        }
        if framing.state != State::Rest {
            return Err(Malformed::Ended);
        }
        Ok(out.into())
    }

    proptest! {
        #[test]
        fn cut_chunks_carry_the_same_bytes(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..600), 0..5), step in 1_usize..700) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend(format!("{:x}\r\n", chunk.len()).bytes());
                wire.extend(chunk);
                wire.extend(b"\r\n");
            }
            wire.extend(b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n");
            let cut: Vec<u8> = run(Mode::Unsigned, &wire, step).unwrap().concat();
            // Read once more, in one piece: still the same payload.
            let mut payload: Vec<u8> = Vec::new();
            let mut rest = cut.as_slice();
            loop {
                let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
                let size = usize::from_str_radix(std::str::from_utf8(&rest[..end - 1]).unwrap(), 16).unwrap();
                rest = &rest[end + 1..];
                if size == 0 { break; }
                payload.extend(&rest[..size]);
                prop_assert_eq!(&rest[size..size + 2], b"\r\n");
                rest = &rest[size + 2..];
            }
            prop_assert_eq!(payload, chunks.concat());
            prop_assert_eq!(rest, b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n");
            prop_assert_eq!(run(Mode::Signed, &wire, step).unwrap().concat(), wire);
        }
    }

    #[test]
    fn framings_that_are_none_are_refused() {
        let huge = format!("{:x};chunk-signature=0\r\n", limits::SIGNED_CHUNK_BYTES_MAX + 1);
        assert!(matches!(run(Mode::Signed, huge.as_bytes(), 7), Err(Malformed::Chunk(_))));
        for bad in ["x\r\n", "5\r\nhelloXX0\r\n", "-5\r\n", "5\nhello\r\n0\r\n"] {
            assert!(
                matches!(run(Mode::Unsigned, bad.as_bytes(), 3), Err(Malformed::Line)),
                "{bad:?}"
            );
        }
        let endless = "0".repeat(limits::CHUNK_LINE_BYTES_MAX + 1);
        assert!(matches!(run(Mode::Unsigned, endless.as_bytes(), 100), Err(Malformed::Line)));
        assert!(matches!(run(Mode::Unsigned, b"5\r\nhel", 100), Err(Malformed::Ended)));
    }
}
