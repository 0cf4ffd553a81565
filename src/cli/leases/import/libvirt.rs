//! The `<host>` elements of a libvirt network's `<dhcp>`.

use std::net::IpAddr;

use super::Host;

pub(super) fn network(text: &str) -> Result<Vec<Host>, String> {
    let document = roxmltree::Document::parse(text).map_err(|error| error.to_string())?;
    let is_lease = |node: &roxmltree::Node<'_, '_>| {
        node.has_tag_name("host") && node.parent().is_some_and(|parent| parent.has_tag_name("dhcp"))
    };
    let host = |node: roxmltree::Node<'_, '_>| {
        let line = document.text_pos_at(node.range().start).row;
        let address = node.attribute("ip")?;
        let parsed = address.parse::<IpAddr>();
        Some(parsed.map_err(|_| format!("line {line}: {address:?} is no address")).map(|address| {
            Host {
                place: line.to_string(),
                mac: node.attribute("mac").map(str::to_ascii_lowercase),
                hostname: node.attribute("name").map(str::to_owned),
                holdings: vec![address.into()],
                ..Host::default()
            }
        }))
    };
    document.descendants().filter(is_lease).filter_map(host).collect()
}
