//! Joins a template with a `[[vm]]` entry and a lease into what one NIC is given.

use super::{
    Ipv4Network, Ipv4Parameters, Ipv6Network, Ipv6Parameters, Network, Parameters, RawOption,
    VmEntry,
};
use crate::lease::Lease;

impl Network {
    /// Joins the template with the `[[vm]]` entry that fits and with what the lease holds.
    #[must_use]
    pub fn parameters(&self, lease: &Lease, server_duid: [u8; 18]) -> Parameters {
        let entry = self.vm_entry(&lease.key.vm, &lease.key.nic);
        let common = &self.common;
        let domain = entry.and_then(|entry| entry.domain.as_ref()).or(common.domain.as_ref());
        let search = own(entry, |entry| entry.search.as_ref(), &common.search);
        let search = match search.as_slice() {
            // Without a list the domain alone is searched.
            [] => domain.cloned().into_iter().collect(),
            list => list.to_vec(),
        };
        Parameters {
            // From the files as they are now; what the lease says may be older.
            hostname: self.hostname_of(&lease.key.vm, &lease.key.nic),
            domain: domain.cloned(),
            search,
            dns: own(entry, |entry| entry.dns.as_ref(), &common.dns).clone(),
            ntp: own(entry, |entry| entry.ntp.as_ref(), &common.ntp).clone(),
            mtu: entry.and_then(|entry| entry.mtu).or(common.mtu),
            captive_portal: entry
                .and_then(|entry| entry.captive_portal.as_ref())
                .or(common.captive_portal.as_ref())
                .cloned(),
            resolvers: own(entry, |entry| entry.resolvers.as_ref(), &common.resolvers).clone(),
            boot: own(entry, |entry| entry.boot.as_ref(), &self.boot).clone(),
            gateway: self.gateway.clone(),
            ipv4: self.ipv4.as_ref().map(|ipv4| ipv4_parameters(ipv4, entry, lease)),
            ipv6: self.ipv6.as_ref().map(|ipv6| self.ipv6_parameters(ipv6, entry, lease)),
            server_duid,
        }
    }

    fn ipv6_parameters(
        &self,
        ipv6: &Ipv6Network,
        entry: Option<&VmEntry>,
        lease: &Lease,
    ) -> Ipv6Parameters {
        Ipv6Parameters {
            subnet: ipv6.subnet,
            gateway: ipv6.gateway,
            link_local: ipv6.gateway.unwrap_or_else(|| self.gateway.source_mac.link_local()),
            address: lease.ipv6,
            // Without `delegate` the prefix stays the VM's, and is not given.
            delegated: ipv6.delegation.as_ref().and(lease.prefix),
            mode: ipv6.mode,
            preferred_lifetime: ipv6.preferred_lifetime,
            valid_lifetime: ipv6.valid_lifetime,
            renew_time: ipv6.renew_time,
            rebind_time: ipv6.rebind_time,
            rapid_commit: ipv6.rapid_commit,
            server_preference: ipv6.server_preference,
            information_refresh_time: ipv6.information_refresh_time,
            solicit_max_retry: ipv6.solicit_max_retry,
            information_max_retry: ipv6.information_max_retry,
            prefixes: ipv6.prefixes.clone(),
            routes: ipv6.routes.clone(),
            ra: ipv6.ra,
            options: replaced(&ipv6.options, entry.map(|entry| entry.ipv6_options.as_slice())),
        }
    }
}

fn ipv4_parameters(ipv4: &Ipv4Network, entry: Option<&VmEntry>, lease: &Lease) -> Ipv4Parameters {
    Ipv4Parameters {
        subnet: ipv4.subnet,
        gateway: ipv4.gateway,
        server_id: ipv4.server_id,
        address: lease.ipv4,
        lease_time: ipv4.lease_time,
        renew_time: ipv4.renew_time,
        rebind_time: ipv4.rebind_time,
        mask: ipv4.mask,
        routes: own(entry, |entry| entry.routes.as_ref(), &ipv4.routes).clone(),
        rapid_commit: ipv4.rapid_commit,
        ipv6_only_wait: ipv4.ipv6_only_wait,
        auto_configure: ipv4.auto_configure,
        options: replaced(&ipv4.options, entry.map(|entry| entry.ipv4_options.as_slice())),
    }
}

/// Takes the entry's whole value if it names one, else the network's.
fn own<'a, T>(
    entry: Option<&'a VmEntry>,
    of: impl FnOnce(&'a VmEntry) -> Option<&'a T>,
    network: &'a T,
) -> &'a T {
    entry.and_then(of).unwrap_or(network)
}

/// Puts the entry's options in the place of the network's of the same code, and behind them.
fn replaced(network: &[RawOption], entry: Option<&[RawOption]>) -> Vec<RawOption> {
    let own = entry.unwrap_or_default();
    let kept = network.iter().filter(|option| own.iter().all(|new| new.code != option.code));
    kept.chain(own).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use super::*;
    use crate::lease::LeaseKey;
    use crate::network::tests::{entry, network};
    use crate::network::{
        BootRule, Common, DomainName, EncryptedResolver, Hostname, ServiceParameters,
    };
    use crate::time::Wall;

    fn lease(vm: &str, nic: &str) -> Lease {
        Lease {
            key: LeaseKey {
                network: "blue".parse().unwrap(),
                vm: vm.parse().unwrap(),
                nic: nic.parse().unwrap(),
            },
            ipv4: Some("10.0.0.10".parse().unwrap()),
            ipv6: None,
            prefix: None,
            hostname: None,
            created: Wall(0),
            node: "node-a".to_owned(),
            arrived: None,
            last_seen: None,
            conflict: false,
        }
    }

    fn domain(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    fn option(code: u16, body: &[u8]) -> RawOption {
        RawOption { code, body: body.into(), always: false }
    }

    fn blue() -> Network {
        let dns: Vec<IpAddr> = vec!["10.0.0.53".parse().unwrap()];
        let mut blue = network("blue");
        blue.common = Common {
            domain: Some(domain("blue.example")),
            dns,
            mtu: Some(1450),
            captive_portal: Some("https://blue.example/".parse().unwrap()),
            resolvers: vec![EncryptedResolver {
                name: domain("dns.example"),
                addresses: Vec::new(),
                priority: 1,
                params: ServiceParameters::default(),
            }],
            ..Common::default()
        };
        blue.ipv4.as_mut().unwrap().options = vec![option(66, b"a"), option(67, b"b")];
        blue
    }

    #[test]
    fn without_an_entry_the_template_and_the_lease_speak() {
        let given = blue().parameters(&lease("demo/web-1", "default"), [7; 18]);
        assert_eq!(given.hostname.unwrap().as_str(), "web-1");
        assert_eq!(given.domain, Some(domain("blue.example")));
        assert_eq!(given.search, vec![domain("blue.example")]);
        assert_eq!(given.mtu, Some(1450));
        assert_eq!(given.captive_portal.unwrap().as_str(), "https://blue.example/");
        assert_eq!(given.resolvers.len(), 1);
        assert_eq!(given.server_duid, [7; 18]);
        let ipv4 = given.ipv4.unwrap();
        assert_eq!(ipv4.address, Some("10.0.0.10".parse().unwrap()));
        assert_eq!(ipv4.options, vec![option(66, b"a"), option(67, b"b")]);
        assert_eq!(given.ipv6, None);
    }

    #[test]
    fn a_key_of_the_entry_replaces_the_whole_value() {
        let mut blue = blue();
        blue.vms = vec![VmEntry {
            hostname: Hostname::sanitize("db"),
            domain: Some(domain("db.example")),
            dns: Some(Vec::new()),
            mtu: Some(9000),
            captive_portal: Some("https://own.example/".parse().unwrap()),
            resolvers: Some(Vec::new()),
            ipv4_options: vec![option(67, b"c"), option(68, b"d")],
            ..entry("demo/web-1", None)
        }]
        .into();
        let given = blue.parameters(&lease("demo/web-1", "default"), [0; 18]);
        assert_eq!(given.hostname.unwrap().as_str(), "db");
        assert_eq!(given.search, vec![domain("db.example")]);
        assert_eq!(given.dns, Vec::<IpAddr>::new());
        assert_eq!(given.mtu, Some(9000));
        assert_eq!(given.captive_portal.unwrap().as_str(), "https://own.example/");
        assert_eq!(given.resolvers, Vec::new());
        assert_eq!(
            given.ipv4.unwrap().options,
            vec![option(66, b"a"), option(67, b"c"), option(68, b"d")]
        );
    }

    #[test]
    fn boot_rules_of_the_entry_replace_all_of_the_networks() {
        let rules = |file: &str| -> Arc<[BootRule]> {
            [BootRule { file: Some(file.to_owned()), ..BootRule::default() }].into()
        };
        let mut blue = blue();
        blue.boot = rules("network");
        blue.vms = vec![
            VmEntry { boot: Some(rules("own")), ..entry("demo/own", None) },
            VmEntry { boot: Some(Arc::default()), ..entry("demo/none", None) },
            entry("demo/web-1", None),
        ]
        .into();
        let boot = |vm| blue.parameters(&lease(vm, "default"), [0; 18]).boot;
        assert_eq!(boot("demo/own"), rules("own"));
        assert_eq!(boot("demo/none"), Arc::default());
        assert_eq!(boot("demo/web-1"), rules("network"));
    }

    #[test]
    fn an_entry_for_the_nic_goes_before_one_for_the_vm() {
        let mut blue = blue();
        blue.vms = vec![
            VmEntry { mtu: Some(1), ..entry("demo/web-1", None) },
            VmEntry { mtu: Some(2), ..entry("demo/web-1", Some("eth1")) },
        ]
        .into();
        let mtu = |nic| blue.parameters(&lease("demo/web-1", nic), [0; 18]).mtu;
        assert_eq!((mtu("eth1"), mtu("eth0")), (Some(2), Some(1)));
    }
}
