//! One connection of who asks: a request on its way out, or an answer on its way in.
//!
//! Invariant: one request at a time, as nearly all clients of HTTP/1.1 have it. An answer is known by its length; a server
//! that sends another one is none that is measured here.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// Headers of an answer; ours has six.
const HEADERS_MAX: usize = 32;
/// What is read at once: all of an answer in nearly all cases.
const READ_BYTES: usize = 16 << 10;

/// A question that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Its number.
    pub number: u64,
    /// When it was due, from the start of the run.
    pub due: Duration,
    /// How long after that it was sent first.
    pub late: Duration,
    /// Whether it was sent before, on a connection that turned out to be closed.
    pub is_again: bool,
}

impl Asked {
    /// The question of this number, which is due then.
    pub fn new(number: u64, due: Duration) -> Self {
        Self { number, due, late: Duration::ZERO, is_again: false }
    }
}

/// A connection.
pub struct Connection {
    stream: TcpStream,
    token: Token,
    /// The request; of it, so much was sent.
    pub request: Vec<u8>,
    sent: usize,
    held: Vec<u8>,
    /// What was asked and is not answered.
    pub asked: Option<Asked>,
}

/// What was heard on a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// Not all of an answer yet.
    Nothing,
    /// The server closed it.
    End,
    /// An answer: its status, and where its body ends; [`Connection::body`] has it.
    Answer {
        /// Its status.
        status: u16,
        /// Where the body stands in what is held.
        body: std::ops::Range<usize>,
    },
}

impl Connection {
    /// One to `address`, whose events have this token.
    pub fn open(address: SocketAddr, token: Token, registry: &Registry) -> io::Result<Self> {
        // Waits until the server's system took it in, so that no question waits for that.
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream, token, request: Vec::new(), sent: 0, held: Vec::new(), asked: None })
    }

    /// Opens it anew.
    pub fn reopen(&mut self, address: SocketAddr, registry: &Registry) -> io::Result<()> {
        let new = Self::open(address, self.token, registry)?;
        (self.stream, self.sent) = (new.stream, 0);
        self.held.clear();
        Ok(())
    }

    /// Takes the question back that was answered, or will not be; nothing of it is sent or heard any more.
    pub fn forget(&mut self) -> Option<Asked> {
        self.request.clear();
        self.held.clear();
        self.sent = 0;
        self.asked.take()
    }

    /// Sends the request from its start.
    pub fn ask(&mut self, asked: Asked) -> io::Result<()> {
        (self.asked, self.sent) = (Some(asked), 0);
        self.held.clear();
        self.go_on()
    }

    /// Sends as much of the request as the system takes.
    pub fn go_on(&mut self) -> io::Result<()> {
        while let Some(rest) = self.request.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// What the system says, or `InvalidData` for what is no answer.
    pub fn hear(&mut self) -> io::Result<Heard> {
        loop {
            let before = self.held.len();
            self.held.resize(before + READ_BYTES, 0);
            let read = self.stream.read(self.held.get_mut(before..).unwrap_or_default());
            self.held.truncate(before + read.as_ref().map_or(0, |read| *read));
            match read {
                Ok(0) => return Ok(Heard::End),
                // There may be more, of which nothing would be told again.
                Ok(READ_BYTES) => {}
                Ok(_) => return heard(&self.held),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return heard(&self.held),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The bytes of a body that was heard.
    pub fn body(&self, at: std::ops::Range<usize>) -> &[u8] {
        self.held.get(at).unwrap_or_default()
    }
}

/// What `bytes` are, which begin where an answer does.
fn heard(bytes: &[u8]) -> io::Result<Heard> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    let no_answer = |_| io::Error::from(ErrorKind::InvalidData);
    let httparse::Status::Complete(head) = answer.parse(bytes).map_err(no_answer)? else { return Ok(Heard::Nothing) };
    let length = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|length| std::str::from_utf8(length.value).ok()?.trim().parse::<usize>().ok());
    let (Some(length), Some(status)) = (length, answer.code) else { return Err(ErrorKind::InvalidData.into()) };
    let end = head.saturating_add(length);
    Ok(if bytes.len() < end { Heard::Nothing } else { Heard::Answer { status, body: head..end } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_heard_once_all_of_it_is_there() {
        let bytes = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nContent-Length: 4\r\n\r\nbusy";
        for end in 0..bytes.len() {
            assert_eq!(heard(&bytes[..end]).unwrap(), Heard::Nothing, "{end} bytes");
        }
        let body = bytes.len() - 4..bytes.len();
        assert_eq!(heard(bytes).unwrap(), Heard::Answer { status: 503, body });
        for none in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", "SSH-2.0\r\n"] {
            assert!(heard(none.as_bytes()).is_err(), "{none}");
        }
    }
}
