//! One HTTP/1.1 connection: send prepared bytes, read one whole answer, keep nothing of it but its status,
//! its length and, for small answers, its body. Not a general client.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const BUFFER_BYTES: usize = 256 * 1024;
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A body that fits into one segment train is sent with its head in one call.
const JOINED_BYTES_MAX: usize = 128 * 1024;

/// An answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub status: u16,
    pub body_bytes: u64,
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
}

#[derive(Debug)]
pub struct Connection {
    address: String,
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What of the buffer is not consumed.
    start: usize,
    end: usize,
    joined: Vec<u8>,
}

fn broken(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl Connection {
    pub async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            address: address.to_owned(),
            stream,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            joined: Vec::new(),
        })
    }

    /// Sends a request and waits for the whole answer.
    pub async fn ask(&mut self, head: &[u8], body: &[u8]) -> io::Result<Answer> {
        if body.is_empty() {
            self.stream.write_all(head).await?;
        } else if body.len() <= JOINED_BYTES_MAX {
            self.joined.clear();
            self.joined.extend_from_slice(head);
            self.joined.extend_from_slice(body);
            self.stream.write_all(&self.joined).await?;
        } else {
            self.stream.write_all(head).await?;
            self.stream.write_all(body).await?;
        }
        self.answer(head.starts_with(b"HEAD ")).await
    }

    async fn answer(&mut self, is_of_head: bool) -> io::Result<Answer> {
        let head_bytes = self.read_head().await?;
        let head = &self.buffer[self.start..self.start + head_bytes];
        let status = status(head)?;
        let closes =
            value(head, b"connection").is_some_and(|how| how.eq_ignore_ascii_case(b"close"));
        // The answer to a HEAD tells the length of a body that does not come.
        let framing = if is_of_head { Framing::Length(0) } else { framing(head, status)? };
        self.start += head_bytes;
        let body_bytes = match framing {
            Framing::Length(length) => self.skip(length).await?,
            Framing::Chunked => self.skip_chunks().await?,
        };
        if closes {
            *self = Self::open(&self.address).await?;
        }
        Ok(Answer { status, body_bytes })
    }

    /// Reads until the head is whole; its length with the empty line.
    async fn read_head(&mut self) -> io::Result<usize> {
        let mut searched = 0;
        loop {
            let seen = &self.buffer[self.start..self.end];
            let from = usize::saturating_sub(searched, 3);
            if let Some(at) = seen[from..].windows(4).position(|four| four == b"\r\n\r\n") {
                return Ok(from + at + 4);
            }
            searched = seen.len();
            if searched > HEAD_BYTES_MAX {
                return Err(broken("the head of an answer is longer than 64 KiB"));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let read = self.stream.read(&mut self.buffer[self.end..]).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.end += read;
        Ok(())
    }

    async fn skip(&mut self, length: u64) -> io::Result<u64> {
        let mut left = length;
        loop {
            let here = u64::try_from(self.end - self.start).unwrap_or(u64::MAX).min(left);
            self.start += usize::try_from(here).unwrap_or(0);
            left -= here;
            if left == 0 {
                return Ok(length);
            }
            self.fill().await?;
        }
    }

    async fn skip_chunks(&mut self) -> io::Result<u64> {
        let mut total = 0;
        loop {
            let line = self.read_line().await?;
            let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
            let size = std::str::from_utf8(digits).ok();
            let size = size.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
            let size = size.ok_or_else(|| broken("a chunk has no size"))?;
            total += size;
            if size == 0 {
                while !self.read_line().await?.is_empty() {}
                return Ok(total);
            }
            self.skip(size + 2).await?;
        }
    }

    async fn read_line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let seen = &self.buffer[self.start..self.end];
            if let Some(at) = seen.windows(2).position(|two| two == b"\r\n") {
                let line = seen[..at].to_vec();
                self.start += at + 2;
                return Ok(line);
            }
            self.fill().await?;
        }
    }
}

fn status(head: &[u8]) -> io::Result<u16> {
    let digits = head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| broken("an answer has no status"))
}

fn framing(head: &[u8], status: u16) -> io::Result<Framing> {
    if let Some(length) = value(head, b"content-length") {
        let length = std::str::from_utf8(length).ok().and_then(|digits| digits.parse().ok());
        return length.map(Framing::Length).ok_or_else(|| broken("a length is no number"));
    }
    let coding = value(head, b"transfer-encoding");
    if coding.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
        return Ok(Framing::Chunked);
    }
    match status {
        204 | 304 => Ok(Framing::Length(0)),
        _ => Err(broken("an answer says neither its length nor that it is chunked")),
    }
}

/// A header's value, by its name in lower case.
fn value<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}
