//! Runs a program: a fixed path, fixed arguments, no shell, no environment, a script on its stdin.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::protocol::TEXT_MAX;

/// Runs the first of `places` that is there, and returns what it printed.
///
/// # Errors
/// That it is not installed, could not be run, or what it said when it failed, in one line.
pub(super) fn run<A: AsRef<OsStr>>(
    places: &[&str],
    arguments: &[A],
    script: &str,
) -> Result<String, String> {
    let Some(program) = places.iter().find(|place| Path::new(place).exists()) else {
        return Err(format!("there is no {}; install it", places.join(" or ")));
    };
    let cannot = |error| format!("running {program}: {error}");
    let name = Path::new(program).file_name().unwrap_or_default();
    let mut child = Command::new(program)
        .arg0(name)
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(cannot)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends before it has read everything says why.
        let _ = stdin.write_all(script.as_bytes());
    }
    let output = child.wait_with_output().map_err(cannot)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().map(str::trim).find(|line| !line.is_empty());
    let name = name.to_string_lossy();
    Err(match said {
        // Most say their own name first.
        Some(said) => {
            let after_name = said.strip_prefix(&*name).and_then(|rest| rest.strip_prefix(": "));
            let said = after_name.unwrap_or(said);
            format!("{name}: {said}").chars().take(TEXT_MAX).collect()
        }
        None => format!("{name}: {}", output.status),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_its_script_and_its_output_is_returned() {
        let none: [&str; 0] = [];
        assert_eq!(run(&["/nowhere/cat", "/bin/cat"], &none, "a\n"), Ok("a\n".to_owned()));
    }

    #[test]
    fn a_program_that_fails_is_told_in_its_own_words() {
        let error = run(&["/bin/cat"], &["/nowhere/file"], "").unwrap_err();
        assert!(error.starts_with("cat: /nowhere/file: "), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_told() {
        let error = run(&["/nowhere/nft"], &["-f"], "").unwrap_err();
        assert_eq!(error, "there is no /nowhere/nft; install it");
    }
}
