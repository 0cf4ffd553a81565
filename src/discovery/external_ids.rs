//! External ids of a row, packed: every port has some, and a map of texts takes several times what
//! is in it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Pairs of key and value, in the order of keys. A clone shares them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ExternalIds {
    /// Key, value, key, value and so on.
    text: Arc<str>,
    /// Where each of them ends, in bytes.
    ends: Arc<[u32]>,
}

impl ExternalIds {
    /// Returns the value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(held, _)| *held == key).map(|(_, value)| value)
    }

    /// Tells whether there is such a key.
    #[must_use]
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the pairs, in the order of keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut from = 0;
        let mut next = move |end: u32| {
            let range = from..usize::try_from(end).unwrap_or(usize::MAX);
            from = range.end;
            self.text.get(range).unwrap_or_default()
        };
        self.ends.as_chunks().0.iter().map(move |&[key, value]| (next(key), next(value)))
    }

    /// Returns the pairs as a map, to change them.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<String, String> {
        self.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }
}

impl From<BTreeMap<String, String>> for ExternalIds {
    fn from(map: BTreeMap<String, String>) -> Self {
        let mut text = String::new();
        let mut ends = Vec::new();
        for part in map.iter().flat_map(|(key, value)| [key, value]) {
            text.push_str(part);
            // The longest message that the database may send is far from the limit.
            ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        }
        Self { text: text.into(), ends: ends.into() }
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for ExternalIds {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value.into()));
        pairs.collect::<BTreeMap<String, String>>().into()
    }
}

impl fmt::Debug for ExternalIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out() {
        let ids: ExternalIds =
            [("vm-id", "a/b"), ("", "none"), ("empty", "")].into_iter().collect();
        let pairs: Vec<_> = ids.iter().collect();
        assert_eq!(pairs, [("", "none"), ("empty", ""), ("vm-id", "a/b")]);
        assert_eq!(ids.get("vm-id"), Some("a/b"));
        assert_eq!(ids.get("empty"), Some(""));
        assert_eq!(ids.get("vm"), None);
        assert_eq!(ExternalIds::from(ids.to_map()), ids);
        assert_eq!(ExternalIds::default().iter().count(), 0);
        assert!(ExternalIds::default().is_empty() && !ids.is_empty());
    }

    #[test]
    fn where_one_text_ends_makes_a_difference() {
        let ids = |key: &str, value: &str| ExternalIds::from_iter([(key, value)]);
        assert_ne!(ids("ab", "c"), ids("a", "bc"));
    }
}
