//! Programs in a terminal, as a person at a keyboard uses them.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};

use nix::pty::{Winsize, openpty};

use crate::kubectl::{Kubectl, finish};
use crate::wait;

/// A program in a terminal of its own; dropped, it is ended.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<String>>,
    name: PathBuf,
    /// Keeps the terminal there after the program has ended.
    _slave: OwnedFd,
}

impl Terminal {
    /// Runs kubectl in a terminal of a size.
    #[track_caller]
    pub fn open(kubectl: &Kubectl, line: &str, rows: u16, columns: u16) -> Self {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(Some(&size), None).expect("the machine has terminals");
        let name = nix::unistd::ttyname(&pair.slave).expect("a terminal has a name");
        let end = || pair.slave.try_clone().expect("a descriptor more");
        let (program, arguments) = kubectl.command(line);
        // Its own session, so that the terminal tells it of a change of size.
        let child = Command::new("setsid")
            .args(["--ctty", "--wait"])
            .arg(program)
            .args(arguments)
            .env("TERM", "xterm")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap_or_else(|error| panic!("start setsid: {error}"));
        let keyboard = File::from(pair.master);
        let mut output = keyboard.try_clone().expect("a descriptor more");
        let screen = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = output.read(&mut bytes) {
                if count == 0 {
                    break;
                }
                let text = String::from_utf8_lossy(&bytes[..count]);
                shown
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push_str(&text);
            }
        });
        Self {
            child,
            keyboard,
            screen,
            name,
            _slave: pair.slave,
        }
    }

    /// All that was shown so far.
    pub fn shown(&self) -> String {
        self.screen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until something is shown.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        wait::until(&format!("the terminal shows {text:?}"), || {
            let shown = self.shown();
            wait::holds(shown.contains(text), format!("{shown:?}"))
        });
    }

    /// Types something.
    #[track_caller]
    pub fn type_in(&mut self, text: &str) {
        self.keyboard
            .write_all(text.as_bytes())
            .unwrap_or_else(|error| panic!("type {text:?}: {error}"));
    }

    /// Makes the terminal another size.
    #[track_caller]
    pub fn resize(&self, rows: u16, columns: u16) {
        let mut stty = Command::new("stty");
        stty.arg("-F").arg(&self.name);
        stty.args(["rows", &rows.to_string(), "cols", &columns.to_string()]);
        let output = finish(&mut stty, "");
        assert!(output.success, "stty: {}", output.stderr);
    }

    /// Waits for the program to end; tells its exit status.
    #[track_caller]
    pub fn wait_end(&mut self) -> Option<i32> {
        let shown = Arc::clone(&self.screen);
        let child = &mut self.child;
        wait::until("the program in the terminal ends", || {
            match child.try_wait() {
                Ok(Some(status)) => Ok(status.code()),
                Ok(None) => Err(shown.lock().unwrap_or_else(PoisonError::into_inner).clone()),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
