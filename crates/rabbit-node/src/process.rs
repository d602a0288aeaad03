//! A process of its own group that ends with its guard, and with this process.
//!
//! The kernel sends the "parent died" signal when the *thread* that started the process ends. So each process is
//! started by a thread that then waits for the guard, and does nothing else.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running process. Dropping it kills its group and waits for its end.
#[derive(Debug)]
pub(crate) struct Guarded {
    child: Child,
    /// Dropping it lets the starting thread end.
    release: Option<mpsc::SyncSender<()>>,
    starter: Option<JoinHandle<()>>,
}

impl Guarded {
    /// Starts what `command` builds, with its output thrown away.
    pub(crate) fn spawn(command: impl FnOnce() -> Command + Send + 'static) -> io::Result<Self> {
        let (release, released) = mpsc::sync_channel::<()>(0);
        let (report, started) = mpsc::sync_channel(1);
        let starter =
            std::thread::Builder::new().name("process-starter".to_owned()).spawn(move || {
                let mut command = command();
                command
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .process_group(0);
                if report.send(command.spawn()).is_ok() {
                    // Ends with an error when the guard drops its half: that is the message.
                    released.recv().unwrap_or_default();
                }
            })?;
        let child = started.recv().map_err(io::Error::other)??;
        Ok(Self { child, release: Some(release), starter: Some(starter) })
    }

    /// True once the process itself has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.try_wait().is_some()
    }

    /// Asks the process to end, and kills it where it has not after `limit`.
    pub(crate) fn terminate(mut self, limit: Duration) {
        self.signal(Signal::TERM);
        let asked = Instant::now();
        while self.try_wait().is_none() && asked.elapsed() < limit {
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Stops the process from running, or lets it run again; its sockets stay open.
    pub(crate) fn set_frozen(&self, frozen: bool) {
        self.signal(if frozen { Signal::STOP } else { Signal::CONT });
    }

    fn try_wait(&mut self) -> Option<ExitStatus> {
        // A child that cannot be waited for is none of ours any more.
        self.child.try_wait().unwrap_or_else(|_| Some(ExitStatus::from_raw(0)))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // Fails only where the group is gone, which is what is wanted.
            kill_process_group(group, signal).unwrap_or_default();
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Once it was waited for, its number may belong to another.
        if self.try_wait().is_none() {
            self.signal(Signal::KILL);
        }
        if let Err(error) = self.child.wait() {
            debug_assert!(false, "a started process can be waited for: {error}");
        }
        drop(self.release.take());
        if let Some(starter) = self.starter.take() {
            starter.join().unwrap_or_default();
        }
    }
}
