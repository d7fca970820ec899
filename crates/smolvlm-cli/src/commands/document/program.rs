//! Programs that read files of others: with limits of time, memory and output, and without a shell.

use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::thread::spawn;
use std::time::{Duration, Instant};

/// Interval for polling whether a program has exited.
const POLL: Duration = Duration::from_millis(5);

/// Number of bytes of error messages that are read.
const MAX_MESSAGES: u64 = 1 << 16;

/// Limits of a program. Memory and processor time are limited on Linux only.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum time.
    pub time: Duration,
    /// Maximum length of its output in bytes.
    pub output: u64,
    /// Maximum address space in bytes.
    pub memory: u64,
}

/// A program that failed.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is not installed.
    #[error(
        "PDF files need the program {program}; install poppler (poppler-utils on Linux), or pass images of the pages"
    )]
    Missing {
        /// Its name.
        program: &'static str,
    },
    /// It cannot be started or limited.
    #[error("{program} cannot be started: {source}")]
    Start {
        /// Its name.
        program: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// It exited with an error.
    #[error("{program}: {message}")]
    Failed {
        /// Its name.
        program: &'static str,
        /// What it said.
        message: String,
    },
    /// It ran too long.
    #[error("{program} took longer than {} s", time.as_secs())]
    Timeout {
        /// Its name.
        program: &'static str,
        /// The allowed time.
        time: Duration,
    },
    /// It wrote too much.
    #[error("{program} wrote more than {limit} bytes")]
    TooLarge {
        /// Its name.
        program: &'static str,
        /// The allowed number of bytes.
        limit: u64,
    },
}

/// A running program, killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if the process has exited; waiting then returns at once.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The output of a program that reads a file.
///
/// # Errors
///
/// [`ProgramError`].
pub fn output(program: &'static str, args: &[&str], file: &Path, limits: &Limits) -> Result<Vec<u8>, ProgramError> {
    let deadline = Instant::now() + limits.time;
    let mut command = Command::new(program);
    command.args(args).arg(file).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|source| match source.kind() {
        ErrorKind::NotFound => ProgramError::Missing { program },
        _ => ProgramError::Start { program, source },
    })?;
    let mut child = Running(child);
    confine(&child.0, limits).map_err(|source| ProgramError::Start { program, source })?;
    let (sender, received) = channel();
    if let Some(stdout) = child.0.stdout.take() {
        let limit = limits.output;
        spawn(move || {
            let mut bytes = Vec::new();
            let read = stdout.take(limit + 1).read_to_end(&mut bytes).map(|_| bytes);
            // Fails if the receiver has given up.
            let _ = sender.send(read);
        });
    }
    let (messages_sender, messages) = channel();
    if let Some(stderr) = child.0.stderr.take() {
        spawn(move || {
            let mut bytes = Vec::new();
            let mut stderr = stderr.take(MAX_MESSAGES);
            let _ = stderr.read_to_end(&mut bytes);
            let _ = messages_sender.send(bytes);
            // The rest is discarded, so that the program does not wait.
            let _ = io::copy(&mut stderr.into_inner(), &mut io::sink());
        });
    }
    let left = || deadline.saturating_duration_since(Instant::now());
    let timeout = ProgramError::Timeout { program, time: limits.time };
    let Ok(read) = received.recv_timeout(left()) else { return Err(timeout) };
    let bytes = read.map_err(|source| ProgramError::Start { program, source })?;
    if bytes.len() as u64 > limits.output {
        return Err(ProgramError::TooLarge { program, limit: limits.output });
    }
    let Some(status) = wait(&mut child.0, deadline).map_err(|source| ProgramError::Start { program, source })? else {
        return Err(timeout);
    };
    if status.success() {
        return Ok(bytes);
    }
    let said = messages.recv_timeout(left()).unwrap_or_default();
    let message = first_line(&said).unwrap_or_else(|| status.to_string());
    Err(ProgramError::Failed { program, message })
}

/// Waits for the exit; none at the deadline.
fn wait(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

/// The first line of error messages that is not a warning, without control characters.
fn first_line(said: &[u8]) -> Option<String> {
    let said = String::from_utf8_lossy(said);
    let lines = said.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("Syntax Warning"));
    let line: String = lines.take(1).flat_map(str::chars).filter(|c| !c.is_control()).take(200).collect();
    (!line.is_empty()).then_some(line)
}

/// Maximum length of a file that it writes: the cache of fonts.
#[cfg(target_os = "linux")]
const MAX_FILE: u64 = 16 << 20;

/// Limits a process that has just started.
#[cfg(target_os = "linux")]
fn confine(child: &Child, limits: &Limits) -> io::Result<()> {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let limits = [
        (Resource::As, limits.memory),
        (Resource::Cpu, limits.time.as_secs().max(1)),
        (Resource::Fsize, MAX_FILE),
        (Resource::Core, 0),
        (Resource::Nofile, 64),
    ];
    for (resource, limit) in limits {
        prlimit(Some(Pid::from_child(child)), resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    Ok(())
}

/// Other systems have no such limits.
#[cfg(not(target_os = "linux"))]
fn confine(_: &Child, _: &Limits) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::{Limits, ProgramError, first_line, output};
    use std::path::Path;
    use std::time::Duration;

    const LIMITS: Limits = Limits { time: Duration::from_secs(20), output: 1000, memory: 1 << 30 };

    /// Runs a script whose argument is the file.
    fn run(script: &str, limits: Limits) -> Result<Vec<u8>, ProgramError> {
        output("sh", &["-c", script, "sh"], Path::new("/a file"), &limits)
    }

    #[test]
    fn output_of_a_program_is_returned() {
        assert_eq!(run("printf '<%s>' \"$1\"", LIMITS).unwrap(), b"</a file>");
    }

    #[test]
    fn errors_say_what_the_program_said() {
        let script = "printf 'Syntax Warning: x\\n\\nIncorrect \\033password\\n' >&2; exit 1";
        assert_eq!(run(script, LIMITS).unwrap_err().to_string(), "sh: Incorrect password");
        assert!(run("exit 3", LIMITS).unwrap_err().to_string().contains('3'));
        assert_eq!(first_line(b"\n \n"), None);
    }

    #[test]
    fn endless_programs_end() {
        let short = Limits { time: Duration::from_millis(300), ..LIMITS };
        assert!(matches!(run("exec sleep 60", short), Err(ProgramError::Timeout { .. })));
        assert!(matches!(run("exec sleep 60 >&-", short), Err(ProgramError::Timeout { .. })));
        assert!(matches!(run("exec yes", LIMITS), Err(ProgramError::TooLarge { limit: 1000, .. })));
        let loud = run("head -c 300000 /dev/zero >&2; echo done", LIMITS);
        assert_eq!(loud.unwrap(), b"done\n");
    }

    #[test]
    fn missing_programs_are_named() {
        let error = output("no-such-program", &[], Path::new("x"), &LIMITS).unwrap_err().to_string();
        assert!(error.contains("no-such-program") && error.contains("poppler"), "{error}");
    }
}
