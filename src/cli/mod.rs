//! The command line: one file a command.
//!
//! A command returns a `Failure` or nothing; only [`main`] prints errors and chooses the exit
//! code.

mod against;
mod check;
mod client;
mod explain;
mod leases;
mod packaging;
mod plan;
mod ports;
mod reload;
mod replay;
mod run;
mod status;
mod table;
mod watch;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::outcome::Note;

/// Gives virtual machines their network settings: DHCPv4, DHCPv6 and router advertisements, by VM
/// identity, on the ports of this node.
#[derive(Debug, Parser)]
#[command(name = "leasehold", version, max_term_width = 100)]
struct Arguments {
    /// The daemon's configuration file
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "/etc/leasehold/leasehold.toml"
    )]
    config: PathBuf,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    #[command(after_help = "The environment variable LEASEHOLD_LOG says what is logged: error, \
                            warn, info (the default), debug or trace, or target=level pairs.")]
    Run(run::Options),
    /// Check all configuration files
    Check(check::Options),
    /// List the ports of this node and what is served on each
    Ports(ListOptions),
    /// Look at the lease table, and change it
    #[command(subcommand)]
    Leases(leases::Command),
    /// Say why a port, or a VM's ports, are as they are, and what their guest would be told now
    Explain(explain::Options),
    /// Show the exchanges of the ports as they happen
    Watch(watch::Options),
    /// Tell how the daemon is, on one screen
    Status(ListOptions),
    /// Say what the files, as they are now, would change in the running daemon
    #[command(after_help = "The exit code is 2 if something would change, and 0 if not.")]
    Plan(ListOptions),
    /// Let the daemon read its files anew
    Reload,
    /// Answer a capture offline, as one VM's port would be answered with this configuration
    Replay(replay::Options),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// What every listing takes.
#[derive(Debug, Clone, clap::Args)]
struct ListOptions {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the program: the exit code is one of sysexits'.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    match execute(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // `plan` has said everything when it finds something.
            if !failure.text.is_empty() {
                eprintln!("{failure}");
            }
            failure.code.into()
        }
    }
}

/// Why a command failed: what is printed, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: ExitStatus,
    text: String,
}

/// sysexits.h, and one code for `plan`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// `plan` alone: something would change.
    Differs = 2,
    /// The command line is wrong.
    Usage = 64,
    /// The daemon cannot be reached.
    Unavailable = 69,
    /// A fault in the program.
    Software = 70,
    /// The system refused something.
    OsError = 71,
    /// Another instance runs.
    TempFail = 75,
    /// A permission is missing.
    NoPermission = 77,
    /// The configuration is wrong.
    Config = 78,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

impl Failure {
    pub(crate) fn new(code: ExitStatus, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.trim_end())
    }
}

fn execute(arguments: Arguments) -> Result<(), Failure> {
    let config = &arguments.config;
    match arguments.command {
        Command::Run(options) => run::run(config, &options),
        Command::Check(options) => check::check(config, &options),
        Command::Ports(options) => ports::ports(config, &options),
        Command::Leases(command) => leases::leases(config, &command),
        Command::Explain(options) => explain::explain(config, &options),
        Command::Watch(options) => watch::watch(config, &options),
        Command::Status(options) => status::status(config, &options),
        Command::Plan(options) => plan::plan(config, &options),
        Command::Reload => reload::reload(config),
        Command::Replay(options) => replay::replay(config, &options),
        Command::Completions { shell } => packaging::completions(shell),
        Command::Man => packaging::man(),
    }
}

fn usage(error: &clap::Error) -> ExitCode {
    // `--help` and `--version` are errors to clap, and no failure.
    let _ = error.print();
    if error.use_stderr() { ExitStatus::Usage.into() } else { ExitCode::SUCCESS }
}

/// Writes a decision: a reply by its type alone, a note or a drop with its kind before it.
fn decision(verdict: &str, outcome: &str) -> String {
    if verdict == "reply" { outcome.to_owned() } else { format!("{verdict} {outcome}") }
}

/// Returns what is said of a frame that shows an arrival, where its outcome does not say it.
fn arrival(arrived: bool, outcome: &str) -> &'static str {
    let says_so = outcome == Note::Arrived.as_str();
    if arrived && !says_so { "; arrived: the VM has come to this port" } else { "" }
}

/// Writes a number of things: `1 port`, `3 ports`.
fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Writes control characters as escapes: what others than the admin have named moves no cursor.
fn printable(text: &str) -> Cow<'_, str> {
    let is_plain = |character: char| !character.is_control() || "\n\t".contains(character);
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if is_plain(character) {
            plain.push(character);
        } else {
            plain.extend(character.escape_default());
        }
    }
    Cow::Owned(plain)
}

/// Writes to standard output; a reader that has gone (`leasehold ports | head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match io::Write::write_all(&mut io::stdout().lock(), printable(text).as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(ExitStatus::OsError, format!("writing to standard output: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints a listing as JSON.
fn print_json(listing: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(listing)
        .map_err(|error| Failure::new(ExitStatus::Software, format!("writing JSON: {error}")))?;
    print(&format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_named_moves_no_cursor_and_lines_stay_lines() {
        assert_eq!(printable("vnet0\tserving\n"), "vnet0\tserving\n");
        assert_eq!(printable("tap\u{1b}[2J\r\u{9b}0"), "tap\\u{1b}[2J\\r\\u{9b}0");
    }
}
