//! As much of HTTP/1.1 (RFC 9112) as a scrape needs: one GET or HEAD per connection, read by `httparse`, answered, closed.
//!
//! Everything is bounded: connections, the request's head, its headers, and the time a caller may take. A whole HTTP stack
//! would bring twelve crates for this.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Pages;

/// Callers at a time: a Prometheus, a supervisor, a person. The next one waits in the system's queue.
pub const CONNECTIONS_MAX: usize = 8;

/// Longest head of a request. Prometheus sends about 300 bytes.
const HEAD_BYTES_MAX: usize = 4_096;
/// Headers in it.
const HEADERS_MAX: usize = 32;
/// From the first byte of the request to the last of the answer.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// After a failed accept, which is for want of descriptors: each connection that ends frees one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket that nobody is answered on yet.
#[derive(Debug)]
pub struct HttpListener {
    listener: TcpListener,
}

impl HttpListener {
    /// Binds `listen`, which the configuration has checked to be loopback.
    pub async fn bind(listen: SocketAddr) -> io::Result<HttpListener> {
        let listener = TcpListener::bind(listen).await?;
        Ok(HttpListener { listener })
    }

    /// Where it listens, with the port the system chose.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves `pages` until the task is dropped.
    pub async fn serve(self, pages: Pages) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let pages = pages.clone();
                    tokio::spawn(async move {
                        // Who went away or took too long needs no answer.
                        let _ = tokio::time::timeout(EXCHANGE_TIMEOUT, exchange(stream, &pages)).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the metrics socket");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// What a page is answered with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

impl Response {
    /// Plain text.
    pub(super) fn text(status: u16, body: impl Into<String>) -> Response {
        Response {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }

    fn head(&self) -> String {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            431 => "Request Header Fields Too Large",
            _ => "Service Unavailable",
        };
        let allow = if self.status == 405 {
            "Allow: GET, HEAD\r\n"
        } else {
            ""
        };
        format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{allow}Cache-Control: no-store\r\n\
             Connection: close\r\n\r\n",
            self.status,
            self.content_type,
            self.body.len()
        )
    }
}

/// What was asked.
#[derive(Debug, PartialEq, Eq)]
enum Head {
    /// It is not all there yet.
    Partial,
    /// This page; the body is left out for HEAD.
    Page { path: String, with_body: bool },
    /// Nothing that is answered with a page.
    Refused(Response),
}

async fn exchange(mut stream: TcpStream, pages: &Pages) -> io::Result<()> {
    let mut head = Vec::with_capacity(HEAD_BYTES_MAX);
    let asked = loop {
        match parse(&head) {
            Head::Partial if head.len() < HEAD_BYTES_MAX => {
                let room = (HEAD_BYTES_MAX - head.len()) as u64;
                if (&mut stream).take(room).read_buf(&mut head).await? == 0 {
                    return Ok(());
                }
            }
            Head::Partial => break Head::Refused(Response::text(431, "request is too long\n")),
            whole => break whole,
        }
    };
    let (response, with_body) = match asked {
        Head::Page { path, with_body } => (pages.page(&path).await, with_body),
        Head::Refused(response) => (response, true),
        Head::Partial => return Ok(()),
    };
    stream.write_all(response.head().as_bytes()).await?;
    if with_body {
        stream.write_all(response.body.as_bytes()).await?;
    }
    stream.shutdown().await
}

fn parse(head: &[u8]) -> Head {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Partial) => Head::Partial,
        Ok(httparse::Status::Complete(_)) => {
            let (method, target) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
            if !matches!(method, "GET" | "HEAD") {
                return Head::Refused(Response::text(405, "pages can only be read\n"));
            }
            let path = target.split('?').next().unwrap_or("").to_owned();
            let with_body = method == "GET";
            Head::Page { path, with_body }
        }
        Err(httparse::Error::TooManyHeaders) => Head::Refused(Response::text(431, "too many headers\n")),
        Err(error) => Head::Refused(Response::text(400, format!("{error}\n"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_however_it_is_cut() {
        let request = b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n";
        for end in 0..request.len() {
            assert_eq!(parse(&request[..end]), Head::Partial, "{end}");
        }
        let page = |with_body| Head::Page {
            path: "/metrics".to_owned(),
            with_body,
        };
        assert_eq!(parse(request), page(true));
        assert_eq!(parse(b"HEAD /metrics HTTP/1.1\r\n\r\n"), page(false));
    }

    #[test]
    fn what_is_not_a_page_is_refused() {
        let status = |head: &[u8]| match parse(head) {
            Head::Refused(response) => response.status,
            other => panic!("{other:?}"),
        };
        assert_eq!(status(b"POST /metrics HTTP/1.1\r\n\r\n"), 405);
        assert_eq!(status(b"\x16\x03\x01\x02\x00\x01"), 400);
        let many = "X: y\r\n".repeat(HEADERS_MAX + 1);
        assert_eq!(status(format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes()), 431);
    }
}
