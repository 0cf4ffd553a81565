//! Where a value stands in a file that has been read before: for diagnostics about two files.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::diagnostics::File;

/// One step into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// The value of a key.
    Key(&'a str),
    /// The table of a list in which each of these keys has its value. A key whose value is `None`
    /// is not there.
    Entry(&'a [(&'a str, Option<&'a str>)]),
}

/// Returns `file:line:col` of the value that `steps` lead to, or of the last one on the way that
/// the file has; the file alone if it has none of them.
#[must_use]
pub fn locate(path: &Path, steps: &[Step<'_>]) -> String {
    let name = path.display();
    match File::read(path).ok().and_then(|file| place(&file, steps)) {
        Some((line, column)) => format!("{name}:{line}:{column}"),
        None => name.to_string(),
    }
}

fn place(file: &File, steps: &[Step<'_>]) -> Option<(usize, usize)> {
    let (table, _) = DeTable::parse_recoverable(file.text());
    let mut found = None;
    let mut value: Option<&DeValue<'_>> = None;
    for step in steps {
        let next = match step {
            Step::Key(name) => {
                let table = match value {
                    None => table.get_ref(),
                    Some(value) => match value.as_table() {
                        Some(table) => table,
                        None => break,
                    },
                };
                table
                    .iter()
                    .find(|(key, _)| key.get_ref() == name)
                    .map(|(key, value)| (key.span(), value.get_ref()))
            }
            Step::Entry(wanted) => value
                .and_then(DeValue::as_array)
                .into_iter()
                .flatten()
                .find(|entry| has(entry.get_ref(), wanted))
                .map(|entry| (entry.span(), entry.get_ref())),
        };
        let Some((span, next)) = next else { break };
        found = Some(span.start);
        value = Some(next);
    }
    found.map(|offset| file.place_of(offset))
}

fn has(entry: &DeValue<'_>, wanted: &[(&str, Option<&str>)]) -> bool {
    wanted.iter().all(|(key, text)| {
        entry.as_table().is_some_and(|table| {
            let value = table.iter().find(|(name, _)| name.get_ref() == key);
            value.and_then(|(_, value)| value.get_ref().as_str()) == *text
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = \"blue\"\n\n[gateway]\n  mac = \"x\"\n\n[[vm]]\nid = \"a\"\n\n\
                        [[vm]]\nid = \"b\"\nnic = \"eth1\"\n\n[[vm]]\nid = \"b\"\nipv4 = \"y\"\n";

    fn found(steps: &[Step<'_>]) -> Option<(usize, usize)> {
        place(&File::new("blue.toml".to_owned(), TEXT.to_owned()), steps)
    }

    #[test]
    fn a_value_is_found_by_its_keys_or_the_last_that_is_there() {
        use Step::{Entry, Key};
        assert_eq!(found(&[Key("name")]), Some((1, 1)));
        assert_eq!(found(&[Key("gateway"), Key("mac")]), Some((4, 3)));
        assert_eq!(found(&[Key("gateway"), Key("answer")]), Some((3, 2)));
        assert_eq!(found(&[Key("ipv6"), Key("subnet")]), None);
        let b = [("id", Some("b")), ("nic", None)];
        assert_eq!(found(&[Key("vm"), Entry(&b), Key("ipv4")]), Some((15, 1)));
        let eth1 = [("id", Some("b")), ("nic", Some("eth1"))];
        assert_eq!(found(&[Key("vm"), Entry(&eth1), Key("nic")]), Some((11, 1)));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_alone() {
        assert_eq!(locate(Path::new("/nonexistent/x.toml"), &[]), "/nonexistent/x.toml");
    }
}
