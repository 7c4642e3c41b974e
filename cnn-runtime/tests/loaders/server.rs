//! A server on loopback that answers as it is told, well or badly.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// The file, or the part asked for.
    Right,
    /// The whole file, whatever was asked for.
    IgnoreRange,
    /// Declares all, closes the connection after this many bytes.
    Cut(usize),
    /// Ignores the range and closes the connection after this many bytes of the file.
    IgnoreRangeAndCut(usize),
    /// Falls silent after this many bytes, and keeps the connection open.
    Stall(usize),
    /// Says nothing at all, and keeps the connection open.
    Silent,
    /// One byte in the middle is another.
    Corrupt,
    /// A page, declared as one.
    Html,
    /// A page, declared as a file.
    HiddenHtml,
    /// This status, without a file.
    Status(u16),
    /// Another part than the one asked for.
    WrongRange,
    /// Zeros without end, undeclared.
    Endless,
    /// Sent on to this path.
    Redirect(&'static str),
    /// No HTTP.
    Noise,
}

pub struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    requests: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Gives these answers, one after the other, and then the last one for ever.
    pub fn start(file: &[u8], answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (file, answers) = (file.to_vec(), answers.to_vec());
        let (stopped, seen) = (Arc::clone(&stop), Arc::clone(&requests));
        let thread = thread::spawn(move || {
            let mut open = Vec::new();
            for (count, stream) in listener.incoming().enumerate() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let mut stream = stream.unwrap();
                let request = head(&stream);
                seen.lock().unwrap().push(request.clone());
                // A client that goes away is no fault of the server's.
                let _ = answer(&mut stream, &file, answers[count.min(answers.len() - 1)], &request);
                if matches!(
                    answers[count.min(answers.len() - 1)],
                    Answer::Stall(_) | Answer::Silent
                ) {
                    open.push(stream);
                }
            }
        });
        Self { address, stop, requests, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}/set.tar.gz", self.address)
    }

    /// The first byte asked for by each request so far; none where the whole file was.
    pub fn ranges(&self) -> Vec<Option<usize>> {
        self.requests.lock().unwrap().iter().map(|request| range(request)).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let result = self.thread.take().unwrap().join();
        assert!(result.is_ok() || thread::panicking(), "the server failed");
    }
}

fn head(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines();
    let mut head = String::new();
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() {
            break;
        }
        head += &line.to_lowercase();
        head.push('\n');
    }
    head
}

fn range(request: &str) -> Option<usize> {
    let line = request.lines().find_map(|line| line.strip_prefix("range: bytes="))?;
    line.strip_suffix('-')?.parse().ok()
}

fn answer(
    stream: &mut TcpStream,
    file: &[u8],
    answer: Answer,
    request: &str,
) -> std::io::Result<()> {
    let from = range(request).unwrap_or(0);
    let send = |stream: &mut TcpStream, from: usize, bytes: &[u8]| {
        let (len, total) = (file.len().saturating_sub(from), file.len());
        let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
        let last = total.saturating_sub(1);
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {len}\r\nContent-Type: application/x-gzip\r\n\
             Content-Range: bytes {from}-{last}/{total}\r\nConnection: close\r\n\r\n"
        )?;
        stream.write_all(bytes)?;
        stream.flush()
    };
    let page = b" <!DOCTYPE html>\n<html><body>Please log in.</body></html>";
    match answer {
        Answer::Right if from >= file.len() && from > 0 => {
            write!(stream, "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n")
        }
        Answer::Right => send(stream, from, &file[from..]),
        Answer::IgnoreRange => send(stream, 0, file),
        Answer::IgnoreRangeAndCut(bytes) => send(stream, 0, &file[..bytes]),
        Answer::Cut(bytes) | Answer::Stall(bytes) => {
            send(stream, from, &file[from..(from + bytes).min(file.len())])
        }
        Answer::Silent => Ok(()),
        Answer::Corrupt => {
            let mut bytes = file.to_vec();
            bytes[file.len() / 2] ^= 1;
            send(stream, from, &bytes[from..])
        }
        Answer::Html | Answer::HiddenHtml => {
            let kind =
                if matches!(answer, Answer::Html) { "text/html" } else { "application/gzip" };
            let len = page.len();
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {len}\r\nContent-Type: {kind}\r\n\r\n"
            )?;
            stream.write_all(page)
        }
        Answer::Status(status) => {
            write!(stream, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n")
        }
        Answer::WrongRange => send(stream, from + 1, &file[from + 1..]),
        Answer::Endless => {
            write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            loop {
                stream.write_all(&[0; 8192])?;
            }
        }
        Answer::Redirect(to) => write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        ),
        Answer::Noise => {
            stream.write_all(&[0xAA; 1000])?;
            stream.read(&mut [0; 16]).map(drop)
        }
    }
}
