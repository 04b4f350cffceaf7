//! QEMU's control socket.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

pub struct Qmp {
    stream: BufReader<UnixStream>,
    /// Came while an answer was waited for.
    events: VecDeque<Value>,
}

impl Qmp {
    /// # Errors
    /// Nobody there, or not QEMU.
    pub fn connect(path: &Path, limit: Duration) -> Result<Self, String> {
        let stream = UnixStream::connect(path).map_err(|e| format!("QMP: {e}"))?;
        stream.set_read_timeout(Some(limit)).map_err(|e| e.to_string())?;
        let mut qmp = Self { stream: BufReader::new(stream), events: VecDeque::new() };
        qmp.next()?;
        qmp.call("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    fn next(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(n) if n > 0 => serde_json::from_str(&line).map_err(|e| format!("{e}: {line}")),
            Ok(_) => Err("QMP: the other side is gone".into()),
            Err(e) => Err(format!("QMP: {e}")),
        }
    }

    /// # Errors
    /// QEMU's, or none came in time.
    pub fn call(&mut self, command: &str, arguments: Value) -> Result<Value, String> {
        // In one write: after its last brace `quit` leaves nobody to read the rest.
        let call = format!("{}\n", json!({"execute": command, "arguments": arguments}));
        self.stream.get_mut().write_all(call.as_bytes()).map_err(|e| format!("QMP: {e}"))?;
        loop {
            let answer = self.next()?;
            if !answer["error"].is_null() {
                return Err(format!("{command}: {}", answer["error"]["desc"]));
            }
            if !answer["return"].is_null() {
                return Ok(answer["return"].clone());
            }
            self.events.push_back(answer);
        }
    }

    /// Goes on until this event comes.
    ///
    /// # Errors
    /// It did not come, or a block job failed meanwhile.
    pub fn event(&mut self, name: &str) -> Result<(), String> {
        loop {
            let message = match self.events.pop_front() {
                Some(event) => event,
                None => self.next()?,
            };
            if !message["data"]["error"].is_null() || message["event"] == "BLOCK_JOB_ERROR" {
                return Err(message.to_string());
            }
            if message["event"] == name {
                return Ok(());
            }
        }
    }
}
