//! The control endpoint, as far as starting and stopping needs it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::{CONTROL_URL, EmulatorError, Environment};

const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The control endpoint of emulators that run, or did.
pub(super) struct Control {
    address: String,
    pub(super) pid: String,
}

impl Control {
    pub(super) fn of(environment: &Environment) -> Result<Self, EmulatorError> {
        let url = environment.require(CONTROL_URL)?;
        let address = url.strip_prefix("http://").unwrap_or(url).to_owned();
        Ok(Self { address, pid: environment.require("EMU_PID")?.to_owned() })
    }

    /// Whether it is ours that answers; after they ended, something else may have got the port.
    pub(super) fn answers(&self) -> bool {
        let own = format!("\"pid\":{},", self.pid);
        self.request("GET /health").is_ok_and(|answer| answer.contains(&own))
    }

    /// Whether something listens there.
    pub(super) fn listens(&self) -> bool {
        self.connect().is_ok()
    }

    pub(super) fn stop(&self) -> io::Result<()> {
        self.request("POST /stop").map(drop)
    }

    fn request(&self, method_and_path: &str) -> io::Result<String> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        let request = format!("{method_and_path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let address: SocketAddr = self.address.parse().map_err(io::Error::other)?;
        TcpStream::connect_timeout(&address, ANSWER_WITHIN)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A server that gives one answer to one request.
    fn server(answer: &'static str) -> Control {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let head: Vec<_> =
                BufReader::new(&stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            assert_eq!(head[0], "GET /health HTTP/1.0");
            stream.write_all(answer.as_bytes()).unwrap();
        });
        Control::of(&Environment::parse(&format!("EMU_PID=77\nEMU_CONTROL_URL={url}")).unwrap()).unwrap()
    }

    #[test]
    fn only_the_process_that_was_started_counts() {
        assert!(server("HTTP/1.1 200 OK\r\n\r\n{\"ok\":true,\"pid\":77,\"rss_mb\":9}").answers());
        assert!(!server("HTTP/1.1 200 OK\r\n\r\n{\"ok\":true,\"pid\":778,\"rss_mb\":9}").answers());
        assert!(!server("HTTP/1.1 404 Not Found\r\n\r\n").answers());
    }

    #[test]
    fn nobody_there_is_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let text = format!("EMU_PID=77\nEMU_CONTROL_URL=http://{address}");
        let control = Control::of(&Environment::parse(&text).unwrap()).unwrap();
        assert!(!control.answers());
        assert!(!control.listens());
    }
}
