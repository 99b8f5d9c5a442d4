//! A home of its own for each test, and the command inside it.

use std::path::PathBuf;

use assert_cmd::Command;
use tempfile::TempDir;

/// A folder that is home, cache and working directory at once.
pub(crate) struct Sandbox {
    folder: TempDir,
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command with the words of `line` as arguments; single quotes hold words together.
    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("autotune"));
        command
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("XDG_CACHE_HOME", self.path("xdg-cache"))
            .env("XDG_DATA_DIRS", self.path("xdg-data"))
            .env_remove("DSCONV_CACHE")
            .env_remove("DSCONV_OVERLAY")
            .args(words(line));
        command
    }

    pub(crate) fn autotune(&self, line: &str) -> Ended {
        Ended::of(&mut self.command(line))
    }
}

impl Ended {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the command starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        let ended = Self {
            code: output.status.code().expect("the command is not killed by a signal"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        };
        assert!(!ended.stderr.contains("panicked"), "{ended:#?}");
        ended
    }

    /// Asserts success; gives standard output.
    #[track_caller]
    pub(crate) fn stdout(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.stdout
    }

    /// Asserts success and one JSON value.
    #[track_caller]
    pub(crate) fn json(self) -> serde_json::Value {
        let text = self.stdout();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Asserts an exit code and parts of the message.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        let message = self.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(message.contains(part), "expected {part:?} in {message:?}");
        }
    }
}

fn words(line: &str) -> Vec<String> {
    line.split('\'')
        .enumerate()
        .flat_map(|(index, part)| {
            let quoted = index % 2 == 1;
            if quoted {
                vec![part.to_owned()]
            } else {
                part.split_whitespace().map(str::to_owned).collect()
            }
        })
        .collect()
}
