//! `[[vm]]` entries, found by VM: a network may have one for every VM of a site.

use std::collections::HashMap;
use std::ops::Deref;

use super::VmEntry;
use crate::lease::{NicName, VmId};

/// The `[[vm]]` entries of a network, in file order.
#[derive(Debug, Clone, Default)]
pub struct VmEntries {
    entries: Vec<VmEntry>,
    /// Where the entries of each VM are, in file order.
    places: HashMap<VmId, Vec<usize>>,
}

impl VmEntries {
    /// Finds the entry of one NIC: one that names the NIC goes before one that does not.
    #[must_use]
    pub fn find(&self, vm: &VmId, nic: &NicName) -> Option<&VmEntry> {
        let places = self.places.get(vm)?;
        let of_vm = || places.iter().filter_map(|place| self.entries.get(*place));
        of_vm()
            .find(|entry| entry.nic.as_ref() == Some(nic))
            .or_else(|| of_vm().find(|entry| entry.nic.is_none()))
    }
}

impl From<Vec<VmEntry>> for VmEntries {
    fn from(entries: Vec<VmEntry>) -> Self {
        let mut places: HashMap<VmId, Vec<usize>> = HashMap::new();
        for (place, entry) in entries.iter().enumerate() {
            places.entry(entry.id.clone()).or_default().push(place);
        }
        Self { entries, places }
    }
}

impl FromIterator<VmEntry> for VmEntries {
    fn from_iter<I: IntoIterator<Item = VmEntry>>(entries: I) -> Self {
        Self::from(Vec::from_iter(entries))
    }
}

impl Deref for VmEntries {
    type Target = [VmEntry];

    fn deref(&self) -> &[VmEntry] {
        &self.entries
    }
}

/// The places follow from the entries.
impl PartialEq for VmEntries {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::tests::entry;

    #[test]
    fn the_entry_of_the_nic_goes_before_that_of_the_vm() {
        let entries = VmEntries::from(vec![
            entry("demo/web-1", None),
            entry("demo/web-2", None),
            entry("demo/web-1", Some("eth1")),
            entry("demo/web-1", None),
        ]);
        let place = |vm: &str, nic: &str| {
            let found = entries.find(&vm.parse().unwrap(), &nic.parse().unwrap())?;
            entries.iter().position(|entry| std::ptr::eq(entry, found))
        };
        assert_eq!(place("demo/web-1", "eth0"), Some(0));
        assert_eq!(place("demo/web-1", "eth1"), Some(2));
        assert_eq!(place("demo/web-2", "eth1"), Some(1));
        assert_eq!(place("demo/web-3", "eth0"), None);
    }
}
