//! A child process that is asked by lines, and killed where it does not answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::Program;
use super::protocol::{Reply, Request};

/// Bytes of complaints that are kept: a panic's message and more.
const LONGEST_COMPLAINT: usize = 4096;

/// A worker; killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    requests: ChildStdin,
    replies: Receiver<String>,
    complaints: Option<JoinHandle<String>>,
}

/// Why there is no reply.
#[derive(Debug)]
pub(super) enum Lost {
    /// The process ended; says how.
    Died(String),
    /// No reply within the limit. The process was killed.
    Silent,
}

impl Process {
    pub(super) fn start(program: &Program) -> io::Result<Self> {
        let mut command = Command::new(&program.path);
        command
            .args(&program.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Ctrl-C in a terminal is for the driver, which then ends the worker.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        let (requests, output, errors) =
            match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
                (Some(stdin), Some(stdout), Some(stderr)) => (stdin, stdout, stderr),
                _ => unreachable!("all three are pipes"),
            };
        let (sender, replies) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let complaints = Some(std::thread::spawn(move || last_words(errors)));
        Ok(Self { child, requests, replies, complaints })
    }

    /// Sends a request that has no reply. That a process is dead shows at the next one that has.
    pub(super) fn tell(&mut self, request: &Request) {
        let mut line = serde_json::to_string(request).expect("requests are plain data");
        line.push('\n');
        let _ = self.requests.write_all(line.as_bytes());
    }

    pub(super) fn ask(&mut self, request: &Request, limit: Duration) -> Result<Reply, Lost> {
        self.tell(request);
        match self.replies.recv_timeout(limit) {
            Ok(line) => serde_json::from_str(&line).map_err(|error| {
                let line: String = line.chars().take(200).collect();
                self.kill();
                Lost::Died(format!("answered {line:?}, which is no reply: {error}"))
            }),
            Err(RecvTimeoutError::Disconnected) => Err(Lost::Died(self.how_it_died())),
            Err(RecvTimeoutError::Timeout) => {
                self.kill();
                Err(Lost::Silent)
            }
        }
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn how_it_died(&mut self) -> String {
        // It closed its output, so it ends; but nothing may hang on that.
        let _ = self.child.kill();
        let status = match self.child.wait() {
            Ok(status) => describe(status),
            Err(error) => error.to_string(),
        };
        let complaints = self.complaints.take().and_then(|thread| thread.join().ok());
        match complaints.as_deref().map(str::trim) {
            None | Some("") => status,
            Some(words) => {
                let lines: Vec<&str> = words.lines().take(3).map(str::trim).collect();
                format!("{status}: {}", lines.join(" "))
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The end of what a process writes to standard error.
fn last_words(mut errors: impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = errors.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..count]);
        let excess = kept.len().saturating_sub(LONGEST_COMPLAINT);
        kept.drain(..excess);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(unix)]
fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.signal(), status.code()) {
        (Some(signal), _) => match name_of(signal) {
            Some(name) => format!("{name} (signal {signal})"),
            None => format!("signal {signal}"),
        },
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => status.to_string(),
    }
}

#[cfg(not(unix))]
fn describe(status: ExitStatus) -> String {
    status.to_string()
}

/// The signals that code of ours may cause; their numbers are the same on all systems with ours.
#[cfg(unix)]
fn name_of(signal: i32) -> Option<&'static str> {
    Some(match signal {
        4 => "SIGILL, an illegal instruction",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV, an access to memory that is not there",
        _ if cfg!(target_os = "linux") && signal == 7 => "SIGBUS",
        _ => return None,
    })
}
