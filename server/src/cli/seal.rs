//! `lethedb keys unseal --server`: one share for the server on this machine that has no root key yet.
//!
//! Invariant: a share goes to a loopback address alone, over one connection that is closed after it, and is no argument.
//! It is checked before it is sent, so that what is mistyped costs no attempt.
#![expect(clippy::disallowed_methods, reason = "the one command that speaks to a server, on this machine alone")]

use std::io::{self, IsTerminal, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use engine::Share;
use serde_json::{Value, json};
use zeroize::{Zeroize, Zeroizing};

use super::context::Context;
use super::failure::Failure;
use crate::rest::check_address;

const PATH: &str = "/v1/admin/keys/unseal";
/// A server that opens a large database takes its time.
const ANSWER_WITHIN: Duration = Duration::from_secs(600);
/// An answer is far shorter.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// What is typed or piped in as a share is far shorter, too.
const INPUT_BYTES_MAX: u64 = 4 << 10;

/// Gives these shares to the server, or one that is read where there are none, and tells how far the unsealing is.
pub fn unseal(context: &Context, mut shares: Vec<Share>, resets: bool) -> Result<(), Failure> {
    let address = context.config.server.listen;
    check_address(address)?;
    if shares.is_empty() && !resets {
        shares.push(read()?);
    }
    let mut answer = if resets { post(address, &request(None, true))? } else { Value::Null };
    for share in &shares {
        answer = post(address, &request(Some(share), false))?;
    }
    let number = |member: &str| answer[member].as_u64().unwrap_or_default();
    let told = match (answer["sealed"].as_bool(), number("needed")) {
        (Some(false), _) => "The server is unsealed.".to_owned(),
        (_, 0) => "The server is sealed and has no shares.".to_owned(),
        (_, needed) => format!("The server is sealed: {} of {needed} shares are there.", number("given")),
    };
    context.terminal.show(&answer, told)
}

/// The share that is typed, without showing it, or that is piped in.
fn read() -> Result<Share, Failure> {
    let failed = |error| Failure::Io("the share cannot be read", error);
    let text = if io::stdin().is_terminal() {
        Zeroizing::new(rpassword::prompt_password("Share: ").map_err(failed)?)
    } else {
        // Room from the start, so that growing leaves no copy behind.
        let mut text = Zeroizing::new(String::with_capacity(INPUT_BYTES_MAX as usize));
        io::stdin().take(INPUT_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        text
    };
    Share::parse(&text).map_err(|error| Failure::Usage(error.to_string()))
}

/// The body of a request. A share has no character that JSON would escape.
fn request(share: Option<&Share>, resets: bool) -> Zeroizing<String> {
    match share {
        Some(share) => {
            let text = share.format();
            let mut body = Zeroizing::new(String::with_capacity(text.len() + 16));
            body.push_str("{\"share\":\"");
            body.push_str(&text);
            body.push_str("\"}");
            body
        }
        None => Zeroizing::new(json!({ "reset": resets }).to_string()),
    }
}

/// Sends `body` and reads the answer.
fn post(address: SocketAddr, body: &str) -> Result<Value, Failure> {
    let failed = |error| Failure::Io("the server cannot be reached at server.listen", error);
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(failed)?;
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).map_err(failed)?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).map_err(failed)?;
    let told = parse(&answer);
    answer.zeroize();
    told
}

/// The JSON of an answer, if it is one of success.
fn parse(answer: &str) -> Result<Value, Failure> {
    let strange = || Failure::Usage("what listens at server.listen does not answer as a lethedb server does".into());
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(strange)?;
    let status: u16 = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(strange)?;
    let value: Value = serde_json::from_str(body).map_err(|_| strange())?;
    match status {
        200 => Ok(value),
        _ => Err(Failure::Refused(value["detail"].as_str().ok_or_else(strange)?.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_refusals_and_from_strangers() {
        let answer = |status: &str, body: &str| parse(&format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{body}"));
        assert_eq!(answer("200 OK", "{\"given\": 1}").unwrap()["given"], 1);
        let refused = answer("409 Conflict", "{\"detail\": \"of another set\"}").unwrap_err();
        assert_eq!((refused.to_string().as_str(), refused.exit_code()), ("of another set", 1));
        for strange in [answer("200 OK", "<html>"), answer("404 Not Found", "{}"), parse("SSH-2.0"), parse("")] {
            assert!(matches!(strange, Err(Failure::Usage(_))));
        }
    }
}
