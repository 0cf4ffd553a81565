//! What packages ship beside the program: completions and the manual page.

use clap::CommandFactory;

use super::{Arguments, ExitStatus, Failure, print};

pub(super) fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "leasehold", &mut script);
    print(&String::from_utf8_lossy(&script))
}

pub(super) fn man() -> Result<(), Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Arguments::command()).render(&mut page).map_err(|error| {
        Failure::new(ExitStatus::Software, format!("writing the page: {error}"))
    })?;
    print(&String::from_utf8_lossy(&page))
}
