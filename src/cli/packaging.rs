//! What packages ship beside the program: completions and the manual page.

use clap::{Arg, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Arguments, ExitStatus, Failure, print};

pub(super) fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "leasehold", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Prints one page with every command and option, as there is one program.
pub(super) fn man() -> Result<(), Failure> {
    let mut root = Arguments::command();
    root.build();
    let mut page = Vec::new();
    head(&Man::new(root.clone()), &mut page)
        .and_then(|()| body(&root).to_writer(&mut page))
        .map_err(|error| {
            Failure::new(ExitStatus::Software, format!("writing the page: {error}"))
        })?;
    print(&String::from_utf8_lossy(&page))
}

fn head(man: &Man, page: &mut Vec<u8>) -> std::io::Result<()> {
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)
}

fn body(root: &Command) -> Roff {
    let mut page = Roff::new();
    page.control("SH", ["COMMANDS"]);
    for command in root.get_subcommands() {
        describe(command, &mut page);
    }
    for (title, rows) in [("FILES", FILES), ("ENVIRONMENT", ENVIRONMENT), ("EXIT STATUS", EXITS)] {
        page.control("SH", [title]);
        for (name, text) in rows {
            page.control("TP", []).text([bold(*name)]).text([roman(*text)]);
        }
    }
    page
}

/// Describes a command that does something, or those that stand below it.
fn describe(command: &Command, page: &mut Roff) {
    if command.get_name() == "help" {
        return;
    }
    if command.has_subcommands() {
        for below in command.get_subcommands() {
            describe(below, page);
        }
        return;
    }
    let usage = command.clone().render_usage().to_string();
    page.control("SS", [usage.trim_start_matches("Usage: ")]);
    for text in [command.get_about(), command.get_after_help()].into_iter().flatten() {
        page.text([roman(format!("{}.", text.to_string().trim_end_matches('.')))]);
    }
    let is_own = |arg: &&Arg| !arg.is_global_set() && arg.get_id() != "help";
    for arg in command.get_arguments().filter(is_own) {
        page.control("TP", []).text([bold(name(arg))]).text([roman(help(arg))]);
    }
}

/// Writes an argument as it is typed: `--network <NETWORK>`, `<FILE>`.
fn name(arg: &Arg) -> String {
    let values: Vec<String> =
        arg.get_value_names().unwrap_or_default().iter().map(|name| format!("<{name}>")).collect();
    match (arg.get_long(), arg.get_action().takes_values()) {
        (Some(long), true) => format!("--{long} {}", values.join(" ")),
        (Some(long), false) => format!("--{long}"),
        (None, _) => values.join(" "),
    }
}

fn help(arg: &Arg) -> String {
    let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let words: Vec<String> =
        arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if arg.get_action().takes_values() && !words.is_empty() {
        text = format!("{text}: {}", words.join(", "));
    }
    if let [default] = arg.get_default_values()
        && arg.get_action().takes_values()
        && !arg.is_hide_default_value_set()
    {
        text = format!("{text} [default: {}]", default.to_string_lossy());
    }
    text
}

/// Names with what is said of them.
type Rows = &'static [(&'static str, &'static str)];

const FILES: Rows = &[
    ("/etc/leasehold/leasehold.toml", "The daemon: sources of ports, the lease store, limits."),
    ("/etc/leasehold/networks.d/*.toml", "One network a file: which ports, and what they get."),
    ("/var/lib/leasehold/", "The leases, or this node's copy of those that nodes share."),
    ("/run/leasehold/control.sock", "Where the commands reach the daemon."),
];

const ENVIRONMENT: Rows = &[
    (
        "LEASEHOLD_LOG",
        "What is logged: error, warn, info (the default), debug or trace, or target=level pairs.",
    ),
    ("NO_COLOR", "If it is set, messages about the files have no colours on a terminal."),
];

const EXITS: Rows = &[
    ("0", "All is well."),
    ("2", "plan alone: something would change."),
    ("64", "The command line is wrong, or a capture cannot be read."),
    ("69", "No daemon answers, or there is no such port, VM or lease."),
    ("70", "A fault in the program."),
    ("71", "The system, or the lease store, refused something."),
    ("75", "Another instance runs."),
    ("77", "A permission is missing."),
    ("78", "The configuration is wrong, or what was asked for does not fit it."),
];
