//! Reads tables of a TOML file key by key. Whatever does not fit is noted, and reading goes on.
//!
//! A reader that returns `None` has noted why: a caller that needs the value has no more to say.

use std::ops::Range;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostics::File;
use super::places;
use super::values::Form;

/// A value, and where it stands.
pub(super) type At<T> = Spanned<T>;

/// The keys that a table may hold.
#[derive(Debug)]
pub(super) struct Keys {
    /// What the table is called in a message: `in [ipv4]`.
    pub(super) place: &'static str,
    /// Keys that are read.
    pub(super) known: &'static [&'static str],
    /// Keys that are reserved for what is not built yet.
    pub(super) later: &'static [&'static str],
}

/// One table, its keys already known to be allowed.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// The file, which takes what is found.
    pub(super) file: &'a File,
    /// Where its header stands.
    pub(super) span: Range<usize>,
    table: &'a DeTable<'a>,
    keys: &'static Keys,
}

/// One value of a table or a list.
#[derive(Debug, Clone)]
pub(super) struct Item<'a> {
    /// The file, which takes what is found.
    pub(super) file: &'a File,
    /// Where the value stands.
    pub(super) span: Range<usize>,
    /// The key that it belongs to.
    pub(super) key: &'a str,
    value: &'a DeValue<'a>,
}

impl<'a> Section<'a> {
    /// Looks at a whole file, and notes the keys that it may not have.
    pub(super) fn root(file: &'a File, table: &'a At<DeTable<'a>>, keys: &'static Keys) -> Self {
        Self::new(file, table.span(), table.get_ref(), keys)
    }

    fn new(
        file: &'a File,
        span: Range<usize>,
        table: &'a DeTable<'a>,
        keys: &'static Keys,
    ) -> Self {
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if keys.known.contains(&name) {
                continue;
            }
            let fault = if keys.later.contains(&name) {
                format!("{name:?}{} is not available in this version; leave it out", keys.place)
            } else {
                let near = nearest(name, keys.known);
                let place = places::elsewhere(name, keys).filter(|_| distance(name, near) > 1);
                let known = match place {
                    Some(place) => format!("{name:?}{place}"),
                    None => format!("{near:?}"),
                };
                format!("unknown key {name:?}{}; the nearest known key is {known}", keys.place)
            };
            file.error(key.span(), fault);
        }
        Self { file, span, table, keys }
    }

    /// Returns the value of `key`, if the table has it.
    pub(super) fn get(&self, key: &'static str) -> Option<Item<'a>> {
        debug_assert!(self.keys.known.contains(&key), "{key} is not in the list of keys");
        let (key, value) = self.table.iter().find(|(name, _)| name.get_ref() == key)?;
        let (file, span) = (self.file, value.span());
        Some(Item { file, span, key: key.get_ref().as_ref(), value: value.get_ref() })
    }

    /// Returns the value of `key`, or notes that it is missing.
    pub(super) fn require(&self, key: &'static str, form: Form) -> Option<Item<'a>> {
        let item = self.get(key);
        if item.is_none() {
            let place = self.keys.place;
            self.error(format!("{key:?}{place} is missing; give {}", form.hint()));
        }
        item
    }

    /// Notes an error about the table as a whole.
    pub(super) fn error(&self, message: impl Into<String>) {
        self.file.error(self.span.clone(), message);
    }

    /// Returns the tables of `[[key]]`, or of a list of inline tables.
    pub(super) fn sections(&self, key: &'static str, keys: &'static Keys) -> Vec<Self> {
        let items = self.get(key).map(|item| item.items()).unwrap_or_default();
        items.iter().filter_map(|item| item.section(keys)).collect()
    }

    /// Returns the keys and values of a table whose keys are the admin's.
    pub(super) fn entries(&self, key: &'static str) -> Vec<Item<'a>> {
        self.placed_entries(key).into_iter().map(At::into_inner).collect()
    }

    /// Returns the keys and values of a table whose keys are checked elsewhere, in file order and
    /// each with the place of its key.
    pub(super) fn placed_entries(&self, key: &'static str) -> Vec<At<Item<'a>>> {
        let Some(item) = self.get(key) else {
            return Vec::new();
        };
        let Some(table) = item.value.as_table() else {
            item.error_type("a table");
            return Vec::new();
        };
        let file = self.file;
        let placed = |(key, value): (&'a At<_>, &'a At<DeValue<'a>>)| {
            let name: &std::borrow::Cow<'_, str> = key.get_ref();
            let (span, key_span) = (value.span(), key.span());
            Spanned::new(key_span, Item { file, span, key: name.as_ref(), value: value.get_ref() })
        };
        let mut entries: Vec<_> = table.iter().map(placed).collect();
        entries.sort_by_key(|entry| entry.span().start);
        entries
    }
}

impl<'a> Item<'a> {
    /// Notes an error about the value.
    pub(super) fn error(&self, message: impl Into<String>) {
        self.file.error(self.span.clone(), message);
    }

    fn error_type(&self, wanted: &str) {
        let is = self.value.type_str();
        let article = if is.starts_with(['a', 'i', 'e', 'o', 'u']) { "an" } else { "a" };
        self.error(format!("{:?} is {article} {is}; write {wanted}", self.key));
    }

    /// Returns the same value under another name, for messages.
    pub(super) fn named(&self, key: &'a str) -> Self {
        Self { key, ..self.clone() }
    }

    /// Returns the text if the value is a string, without a word if it is none.
    pub(super) fn as_str(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// Reads a string; `form` says of what.
    pub(super) fn text(&self, form: Form) -> Option<&'a str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.error_type(&form.hint());
        }
        text
    }

    /// Reads a string that has a checked type of its own.
    pub(super) fn parse<T: FromStr>(&self, form: Form) -> Option<At<T>> {
        let text = self.text(form)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.error_form(text, form);
        }
        parsed.map(|value| self.at(value))
    }

    /// Notes that a text has not the form that its key wants.
    pub(super) fn error_form(&self, text: &str, form: Form) {
        let Form { what, like } = form;
        self.error(format!(
            "{:?} has {text:?}, which is not {what}; write one like {like}",
            self.key
        ));
    }

    /// Reads true or false.
    pub(super) fn boolean(&self) -> Option<bool> {
        let value = self.value.as_bool();
        if value.is_none() {
            self.error_type("true or false");
        }
        value
    }

    /// Reads a whole number between `least` and `most`, both included.
    pub(super) fn number<T: TryFrom<i64>>(&self, least: i64, most: i64) -> Option<T> {
        let Some(integer) = self.value.as_integer() else {
            self.error_type(&format!("a number from {least} to {most}"));
            return None;
        };
        let number = i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok();
        let checked = number.filter(|number| (least..=most).contains(number));
        if checked.is_none() {
            let given = integer.as_str();
            self.error(format!(
                "{:?} is {given}, which is out of range; write a number from {least} to {most}",
                self.key
            ));
        }
        T::try_from(checked?).ok()
    }

    /// Reads one word of a list of words; `later` holds the words that are not built yet.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)], later: &[&str]) -> Option<T> {
        let known = alternatives(choices.iter().map(|(word, _)| *word));
        let Some(text) = self.value.as_str() else {
            self.error_type(&known);
            return None;
        };
        let chosen = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if chosen.is_none() {
            let fault = if later.contains(&text) {
                "is not available in this version"
            } else {
                "is unknown"
            };
            self.error(format!("{} {text:?} {fault}; write {known}", self.key));
        }
        chosen
    }

    /// Returns the members of a list.
    pub(super) fn items(&self) -> Vec<Self> {
        let Some(array) = self.value.as_array() else {
            self.error_type("a list, in brackets");
            return Vec::new();
        };
        array
            .iter()
            .map(|value| Item {
                file: self.file,
                span: value.span(),
                key: self.key,
                value: value.get_ref(),
            })
            .collect()
    }

    /// Returns the members of a list, or the value itself if it is none.
    pub(super) fn one_or_many(&self) -> Vec<Self> {
        if self.value.is_array() { self.items() } else { vec![self.clone()] }
    }

    /// Tells whether the value is a list without members.
    pub(super) fn is_empty_list(&self) -> bool {
        self.value.as_array().is_some_and(|array| array.is_empty())
    }

    /// Opens a table.
    pub(super) fn section(&self, keys: &'static Keys) -> Option<Section<'a>> {
        let Some(table) = self.value.as_table() else {
            self.error_type(&table_of(keys));
            return None;
        };
        Some(Section::new(self.file, self.span.clone(), table, keys))
    }

    /// Joins a value with the place of this one.
    pub(super) fn at<T>(&self, value: T) -> At<T> {
        Spanned::new(self.span.clone(), value)
    }
}

/// Describes a table; a small one is likely to be written in braces.
fn table_of(keys: &Keys) -> String {
    if keys.known.len() > SMALL {
        return "a table".to_owned();
    }
    let keys: Vec<String> = keys.known.iter().map(|key| format!("{key} = ...")).collect();
    format!("a table like {{ {} }}", keys.join(", "))
}

/// Joins words as `"a", "b" or "c"`.
fn alternatives<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let quoted: Vec<String> = words.map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Returns the known key that needs the fewest edits to become `name`.
pub(super) fn nearest(name: &str, known: &[&'static str]) -> &'static str {
    known.iter().copied().min_by_key(|key| distance(name, key)).unwrap_or_default()
}

/// Returns how many insertions, deletions and replacements turn `from` into `to` (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (place, have) in from.chars().enumerate() {
        let mut diagonal = place;
        let mut left = place.saturating_add(1);
        let mut next = vec![left];
        for (want, above) in to.iter().zip(row.iter().skip(1)) {
            let replaced = diagonal.saturating_add(usize::from(have != *want));
            left = replaced.min(left.saturating_add(1)).min(above.saturating_add(1));
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

/// Keys of a table that is written in braces.
const SMALL: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (from, to, edits) in
            [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("gatway", "gateway", 1)]
        {
            assert_eq!(distance(from, to), edits, "{from} {to}");
            assert_eq!(distance(to, from), edits, "{to} {from}");
        }
    }

    #[test]
    fn the_nearest_key_is_the_one_with_the_fewest_edits() {
        assert_eq!(nearest("lease_time", &["subnet", "lease-time", "renew-time"]), "lease-time");
    }
}
