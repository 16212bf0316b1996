//! Stock kubectl.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::text::words;
use crate::wait;

/// After so many seconds a command that should end by itself is ended.
const SECONDS: &str = "100";

/// A kubectl and what every call of it is given.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
}

/// What a call printed and how it ended.
#[derive(Debug)]
pub struct Output {
    /// Whether it succeeded.
    pub success: bool,
    /// Its exit status.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained.
    pub stderr: String,
}

impl Output {
    /// For probes: what it printed, or what it complained.
    pub fn ok(self) -> Result<String, String> {
        if self.success {
            Ok(self.stdout)
        } else {
            Err(format!("{}{}", self.stdout, self.stderr))
        }
    }
}

impl Kubectl {
    /// The kubectl of $KUBECTL, or else of $PATH.
    pub fn stock() -> Self {
        let named = std::env::var_os("KUBECTL").map(PathBuf::from);
        let program = named.unwrap_or_else(|| {
            // Google's distribution puts a dispatcher in front, which asks the server
            // for its version every time.
            let found = on_path();
            let plain = found.with_file_name("kubectl.1.32");
            if plain.exists() { plain } else { found }
        });
        Self::at(&program)
    }

    fn at(program: &Path) -> Self {
        Self {
            program: program.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// All versions that lie side by side with the stock one, oldest first; the
    /// stock one alone where there are none.
    pub fn versions() -> Vec<(String, Self)> {
        let stock = Self::stock();
        let folder = stock.program.parent().map(Path::to_owned);
        let mut found: Vec<(u32, String, Self)> = folder
            .and_then(|folder| std::fs::read_dir(folder).ok())
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let version = name.strip_prefix("kubectl.")?;
                let minor = version.strip_prefix("1.")?.parse().ok()?;
                Some((minor, version.to_owned(), Self::at(&entry.path())))
            })
            .collect();
        found.sort_by_key(|(minor, ..)| *minor);
        if found.is_empty() {
            return vec![("stock".to_owned(), stock)];
        }
        found
            .into_iter()
            .map(|(_, version, kubectl)| (version, kubectl))
            .collect()
    }

    /// Where the program is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The same with one more argument in every call.
    #[must_use]
    pub fn with(&self, argument: &str) -> Self {
        let mut with = self.clone();
        with.arguments.push(argument.to_owned());
        with
    }

    /// The same in a namespace.
    #[must_use]
    pub fn namespace(&self, namespace: &str) -> Self {
        self.with(&format!("--namespace={namespace}"))
    }

    /// The same with a variable in its environment.
    #[must_use]
    pub fn env(&self, name: &str, value: &str) -> Self {
        let mut with = self.clone();
        with.environment.push((name.to_owned(), value.to_owned()));
        with
    }

    /// The command for a line of words, for those who want to start it themselves.
    pub fn command(&self, line: &str) -> (PathBuf, Vec<String>) {
        let mut arguments = self.arguments.clone();
        arguments.extend(words(line));
        (self.program.clone(), arguments)
    }

    /// Runs a line of words; quotes group.
    pub fn try_run(&self, line: &str) -> Output {
        self.try_feed(line, "")
    }

    /// The same with something to read from standard input.
    pub fn try_feed(&self, line: &str, input: &str) -> Output {
        let words = words(line);
        self.try_call(&words.iter().map(String::as_str).collect::<Vec<_>>(), input)
    }

    /// The same with words that are taken as they are.
    pub fn try_call(&self, words: &[&str], input: &str) -> Output {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", SECONDS]).arg(&self.program);
        command.args(&self.arguments).args(words);
        finish(
            command.envs(self.environment.iter().map(|(name, value)| (name, value))),
            input,
        )
    }

    /// Runs a line that must succeed; tells what it printed.
    #[track_caller]
    pub fn run(&self, line: &str) -> String {
        self.feed(line, "")
    }

    /// The same with something to read from standard input.
    #[track_caller]
    pub fn feed(&self, line: &str, input: &str) -> String {
        let output = self.try_feed(line, input);
        assert!(
            output.success,
            "kubectl {line}\nends with {:?}\n{}{}{}",
            output.code,
            output.stdout,
            output.stderr,
            if input.is_empty() {
                String::new()
            } else {
                format!("it was given:\n{input}")
            }
        );
        output.stdout
    }

    /// Runs a line that must fail; tells what it complained.
    #[track_caller]
    pub fn refused(&self, line: &str, input: &str) -> String {
        let output = self.try_feed(line, input);
        assert!(
            !output.success,
            "kubectl {line}\nsucceeds\n{}",
            output.stdout
        );
        output.stderr
    }

    /// Creates an object that must be fine.
    #[track_caller]
    pub fn create(&self, manifest: &Value) -> String {
        self.feed("create -f -", &manifest.to_string())
    }

    /// Runs a line with `-o json`.
    #[track_caller]
    pub fn json(&self, line: &str) -> Value {
        let printed = self.run(&format!("{line} -o json"));
        serde_json::from_str(&printed)
            .unwrap_or_else(|error| panic!("kubectl {line} prints no JSON: {error}\n{printed}"))
    }

    /// The same for probes.
    pub fn try_json(&self, line: &str) -> Result<Value, String> {
        let printed = self.try_run(&format!("{line} -o json")).ok()?;
        serde_json::from_str(&printed).map_err(|error| format!("{error}: {printed}"))
    }

    /// Starts a line that goes on until it is dropped.
    #[track_caller]
    pub fn spawn(&self, line: &str) -> Running {
        let (program, arguments) = self.command(line);
        let mut child = Command::new(&program)
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("start {}: {error}", program.display()));
        let printed = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take(), &printed);
        collect(child.stderr.take(), &printed);
        Running {
            line: line.to_owned(),
            child,
            printed,
        }
    }
}

fn on_path() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("kubectl"))
        .find_map(|program| program.canonicalize().ok())
        .unwrap_or_else(|| panic!("there is no kubectl on $PATH; name one in $KUBECTL"))
}

fn collect(stream: Option<impl Read + Send + 'static>, printed: &Arc<Mutex<String>>) {
    let Some(stream) = stream else { return };
    let printed = Arc::clone(printed);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(count) if count > 0) {
            lock(&printed).push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
}

fn lock(text: &Mutex<String>) -> std::sync::MutexGuard<'_, String> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a program to its end.
pub fn finish(command: &mut Command, input: &str) -> Output {
    let name = command.get_program().to_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("start {}: {error}", OsStr::display(&name)));
    if let Some(mut pipe) = child.stdin.take() {
        let input = input.to_owned();
        // A program that doesn't read its input closes the pipe: no concern of ours.
        std::thread::spawn(move || drop(pipe.write_all(input.as_bytes())));
    }
    let output = child
        .wait_with_output()
        .unwrap_or_else(|error| panic!("wait for {}: {error}", OsStr::display(&name)));
    Output {
        success: output.status.success(),
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A kubectl that goes on; dropped, it is ended.
#[derive(Debug)]
pub struct Running {
    line: String,
    child: Child,
    printed: Arc<Mutex<String>>,
}

impl Running {
    /// All it printed so far, complaints included.
    pub fn printed(&self) -> String {
        lock(&self.printed).clone()
    }

    /// Waits until it has printed something; tells all it printed.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        wait::until(&format!("kubectl {} prints {text:?}", self.line), || {
            let printed = self.printed();
            wait::holds(printed.contains(text), &printed).map(|()| printed)
        })
    }

    /// Types a text.
    #[track_caller]
    pub fn write(&mut self, text: &str) {
        let pipe = self.child.stdin.as_mut();
        pipe.and_then(|pipe| pipe.write_all(text.as_bytes()).ok())
            .unwrap_or_else(|| panic!("kubectl {} reads no input", self.line));
    }

    /// Says that nothing more will be typed.
    pub fn close(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits until it ends by itself; tells whether it succeeded.
    #[track_caller]
    pub fn wait_end(&mut self) -> bool {
        let line = self.line.clone();
        let printed = Arc::clone(&self.printed);
        wait::until(&format!("kubectl {line} ends"), || {
            match self.child.try_wait() {
                Ok(Some(status)) => Ok(status.success()),
                Ok(None) => Err(lock(&printed).clone()),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
