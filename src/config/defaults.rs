//! Writes every effective value down, in the form of the files.

use std::fmt::{Display, Write};
use std::path::PathBuf;

use super::ipv6::{PREFERENCES, word};
use super::option_names::{self, IpFamily};
use super::values::duration;
use super::{Config, Etcd, Limits, Source, StaticPort, Store};
use crate::discovery::IdentityRule;
use crate::network::{
    BootRule, Common, Delegation, EncryptedResolver, Gateway, Ipv4Network, Ipv4Route, Ipv6Network,
    Ipv6Route, Lifetime, Mask, Match, Network, OnDecline, PoolAddress, PoolRange,
    PrefixInformation, RawOption, RouterAdvertisement, RouterPreference, VmEntry,
};

/// Returns all values that are in force, given or not, as text in the form of the files. A value
/// that is absent is written as a comment.
#[must_use]
pub fn explain_defaults(config: &Config) -> String {
    let mut out = Page::default();
    out.title(&config.path.display().to_string());
    out.value("networks-dir", quoted(config.networks_dir.display()));
    out.section("[deployment]");
    out.value("name", quoted(&config.deployment));
    out.comment("server DUID", &hex(&config.server_duid));
    out.section("[node]");
    out.value("name", quoted(&config.node));
    out.store(&config.store);
    for source in &config.sources {
        out.source(source);
    }
    for rule in &config.identity {
        out.rule(rule);
    }
    out.section("[metrics]");
    let listen = config.metrics_listen.map(|listen| listen.to_string());
    out.value("listen", quoted(listen.unwrap_or_default()));
    out.section("[control]");
    out.value("socket", quoted(config.control_socket.display()));
    out.limits(config.limits);
    for network in &config.networks {
        out.network(network);
    }
    out.0
}

/// The text so far. Writing to a string cannot fail, so results are not looked at.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    fn title(&mut self, title: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.0, "{gap}# {title}");
    }

    fn section(&mut self, header: &str) {
        let _ = writeln!(self.0, "\n{header}");
    }

    fn value(&mut self, key: &str, value: impl Display) {
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn comment(&mut self, what: &str, value: &str) {
        let _ = writeln!(self.0, "# {what}: {value}");
    }

    fn maybe(&mut self, key: &str, value: Option<impl Display>) {
        match value {
            Some(value) => self.value(key, value),
            None => self.comment(key, "not set"),
        }
    }

    fn store(&mut self, store: &Store) {
        self.section("[store]");
        self.value("backend", quoted(store.backend()));
        match store {
            Store::Embedded { path } => self.value("path", quoted(path.display())),
            Store::Etcd { path, etcd } => {
                self.value("path", quoted(path.display()));
                self.etcd(etcd);
            }
            Store::Memory => {}
        }
    }

    fn etcd(&mut self, etcd: &Etcd) {
        self.section("[store.etcd]");
        self.value("endpoints", list(&etcd.endpoints));
        self.value("prefix", quoted(&etcd.prefix));
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| quoted(path.display()));
        self.maybe("ca-file", path(&etcd.ca_file));
        self.maybe("cert-file", path(&etcd.cert_file));
        self.maybe("key-file", path(&etcd.key_file));
        self.maybe("username", etcd.username.as_ref().map(quoted));
        self.maybe("password-file", path(&etcd.password_file));
    }

    fn source(&mut self, source: &Source) {
        self.section("[[source]]");
        match source {
            Source::Ovsdb { socket, bridges, presets } => {
                self.value("kind", quoted("ovsdb"));
                self.value("socket", quoted(socket.display()));
                if bridges.is_empty() {
                    self.comment("bridges", "every bridge");
                } else {
                    self.value("bridges", list(bridges));
                }
                self.value("identity", list(presets.iter().map(|preset| preset.name())));
            }
            Source::Netdev { globs, vm } => {
                self.value("kind", quoted("netdev"));
                self.value("match", list(globs));
                self.value("vm", quoted(vm));
            }
            Source::Static { ports } => {
                self.value("kind", quoted("static"));
                for StaticPort { interface, vm, nic, mac, network } in ports {
                    self.section("[[source.port]]");
                    self.value("interface", quoted(interface));
                    self.value("vm", quoted(vm));
                    self.value("nic", quoted(nic));
                    self.maybe("mac", mac.map(quoted));
                    self.maybe("network", network.as_ref().map(quoted));
                }
            }
        }
    }

    fn rule(&mut self, rule: &IdentityRule) {
        let IdentityRule { from, pattern, vm, nic } = rule;
        self.section("[[identity]]");
        self.value("from", quoted(from));
        self.value("pattern", quoted(pattern.as_str()));
        self.value("vm", quoted(vm));
        self.value("nic", quoted(nic));
    }

    fn limits(&mut self, limits: Limits) {
        let Limits { max_ports, frames_per_second, burst } = limits;
        self.section("[limits]");
        self.value("max-ports", max_ports);
        self.value("frames-per-second", frames_per_second);
        self.value("burst", burst);
    }

    fn network(&mut self, network: &Network) {
        let Network {
            name,
            matcher,
            hostname,
            common,
            gateway,
            ipv4,
            ipv6,
            boot,
            on_decline,
            consume,
            reclaim_after,
            vms,
        } = network;
        self.title(&format!("network {name}"));
        self.value("name", quoted(name));
        self.value("hostname", quoted(hostname.as_str()));
        self.common(common);
        self.value("consume", quoted(consume.as_str()));
        self.value(
            "on-decline",
            match on_decline {
                OnDecline::Keep => quoted("keep"),
                OnDecline::Reassign => quoted("reassign"),
            },
        );
        let reclaim_after = reclaim_after.map_or_else(|| quoted("never"), duration);
        self.value("reclaim-after", reclaim_after);
        self.matcher(matcher);
        self.gateway(gateway);
        if let Some(ipv4) = ipv4 {
            self.ipv4(ipv4);
        }
        if let Some(ipv6) = ipv6 {
            self.ipv6(ipv6);
        }
        self.rules("[[boot.rule]]", boot);
        let options = |of: fn(&Network) -> Option<&Vec<RawOption>>| {
            of(network).map(Vec::as_slice).unwrap_or_default()
        };
        let ipv4 = options(|network| network.ipv4.as_ref().map(|ipv4| &ipv4.options));
        let ipv6 = options(|network| network.ipv6.as_ref().map(|ipv6| &ipv6.options));
        self.options("[[option]]", ipv4, ipv6);
        for entry in vms.iter() {
            self.vm(entry);
        }
    }

    fn common(&mut self, common: &Common) {
        let Common { domain, search, dns, ntp, mtu, captive_portal, resolvers } = common;
        self.maybe("domain", domain.as_ref().map(quoted));
        if search.is_empty() {
            self.comment("search", "the domain alone");
        } else {
            self.value("search", list(search));
        }
        self.value("dns", list(dns));
        self.value("ntp", list(ntp));
        self.maybe("mtu", *mtu);
        self.maybe("captive-portal", captive_portal.as_ref().map(quoted));
        self.value("dnr", dnr(resolvers));
    }

    fn matcher(&mut self, matcher: &Match) {
        let Match { bridge, vlan, interface, external_ids } = matcher;
        self.section("[match]");
        if *matcher == Match::default() {
            self.comment("empty", "every port fits");
            return;
        }
        self.maybe("bridge", bridge.as_ref().map(quoted));
        self.maybe("vlan", *vlan);
        self.maybe("interface", interface.as_ref().map(quoted));
        let ids: Vec<String> = external_ids
            .iter()
            .map(|(key, value)| format!("{} = {}", quoted(key), quoted(value)))
            .collect();
        self.value("external-ids", format!("{{ {} }}", ids.join(", ")));
    }

    fn gateway(&mut self, gateway: &Gateway) {
        let Gateway { source_mac, mac_given, answer, answer_ping, announce, retire } = gateway;
        self.section("[gateway]");
        if *mac_given {
            self.value("mac", quoted(source_mac));
        } else {
            self.comment("mac", &format!("not set; frames are sent from {source_mac}"));
        }
        self.value("answer", answer);
        self.value("answer-ping", answer_ping);
        self.value("announce", announce);
        self.value("retire", list(retire));
    }

    fn ipv4(&mut self, ipv4: &Ipv4Network) {
        self.section("[ipv4]");
        self.value("subnet", quoted(ipv4.subnet));
        self.maybe("gateway", ipv4.gateway.map(quoted));
        self.value("server-id", quoted(ipv4.server_id));
        self.value("ranges", ranges(&ipv4.pool.ranges));
        self.value("lease-time", lifetime(ipv4.lease_time));
        self.maybe("renew-time", ipv4.renew_time.map(duration));
        self.maybe("rebind-time", ipv4.rebind_time.map(duration));
        self.value(
            "mask",
            match ipv4.mask {
                Mask::Subnet => quoted("subnet"),
                Mask::Host => quoted("host"),
            },
        );
        self.value("routes", routes(&ipv4.routes));
        self.value("rapid-commit", ipv4.rapid_commit);
        self.maybe("ipv6-only-wait", ipv4.ipv6_only_wait.map(duration));
        self.maybe("auto-configure", ipv4.auto_configure);
    }

    fn ipv6(&mut self, ipv6: &Ipv6Network) {
        self.section("[ipv6]");
        self.value("subnet", quoted(ipv6.subnet));
        self.maybe("gateway", ipv6.gateway.map(quoted));
        self.value("ranges", ranges(&ipv6.pool.ranges));
        self.value("mode", quoted(word(ipv6.mode)));
        self.value("preferred-lifetime", lifetime(ipv6.preferred_lifetime));
        self.value("valid-lifetime", lifetime(ipv6.valid_lifetime));
        self.value("renew-time", lifetime(ipv6.renew_time));
        self.value("rebind-time", lifetime(ipv6.rebind_time));
        self.value("rapid-commit", ipv6.rapid_commit);
        self.maybe("server-preference", ipv6.server_preference);
        self.maybe("information-refresh-time", ipv6.information_refresh_time.map(duration));
        self.maybe("sol-max-rt", ipv6.solicit_max_retry.map(duration));
        self.maybe("inf-max-rt", ipv6.information_max_retry.map(duration));
        self.maybe(
            "delegate",
            ipv6.delegation.as_ref().map(|Delegation { pool, length, .. }| {
                format!("{{ pool = {}, length = {length} }}", quoted(pool))
            }),
        );
        let routes: Vec<String> = ipv6.routes.iter().map(ipv6_route).collect();
        self.value("routes", format!("[{}]", routes.join(", ")));
        for prefix in &ipv6.prefixes {
            self.prefix(prefix);
        }
        self.advertisement(ipv6.ra);
    }

    fn prefix(&mut self, information: &PrefixInformation) {
        let PrefixInformation { prefix, on_link, autonomous, preferred_lifetime, valid_lifetime } =
            information;
        self.section("[[ipv6.prefix]]");
        self.value("prefix", quoted(prefix));
        self.value("on-link", on_link);
        self.value("autonomous", autonomous);
        self.value("preferred-lifetime", lifetime(*preferred_lifetime));
        self.value("valid-lifetime", lifetime(*valid_lifetime));
    }

    fn advertisement(&mut self, ra: RouterAdvertisement) {
        let RouterAdvertisement { router_lifetime, hop_limit, preference, .. } = ra;
        let RouterAdvertisement { interval, dns_lifetime, pref64, .. } = ra;
        self.section("[ipv6.ra]");
        self.value("router-lifetime", duration(router_lifetime.into()));
        self.value("hop-limit", hop_limit);
        self.value("preference", quoted(ranked(preference)));
        self.value(
            "interval",
            match interval {
                Some((shortest, longest)) => quoted(format!("{shortest}s-{longest}s")),
                None => quoted("off"),
            },
        );
        self.value("dns-lifetime", lifetime(dns_lifetime));
        self.maybe("pref64", pref64.map(|pref64| quoted(pref64.prefix)));
    }

    fn rules(&mut self, header: &str, rules: &[BootRule]) {
        for rule in rules {
            let BootRule {
                architectures,
                vendor_classes,
                user_classes,
                ipxe,
                next_server,
                server_name,
                tftp_server,
                tftp_addresses,
                file,
                path_prefix,
                url,
                params,
            } = rule;
            self.section(header);
            let numbers: Vec<String> = architectures.iter().map(|a| a.0.to_string()).collect();
            let some = |written: String| (written != "[]").then_some(written);
            self.given("arch", some(format!("[{}]", numbers.join(", "))));
            self.given("vendor-class", some(list(vendor_classes)));
            self.given("user-class", some(list(user_classes)));
            self.given("ipxe", *ipxe);
            self.maybe("next-server", next_server.map(quoted));
            self.maybe("sname", server_name.as_ref().map(quoted));
            // The first is both in option 66 and, if it is an address, in option 150.
            let addresses = tftp_addresses.iter().map(ToString::to_string);
            let further = addresses.filter(|address| Some(address) != tftp_server.as_ref());
            self.maybe("tftp-server", some(list(tftp_server.iter().cloned().chain(further))));
            self.maybe("file", file.as_ref().map(quoted));
            self.maybe("path-prefix", path_prefix.as_ref().map(quoted));
            self.maybe("url", url.as_ref().map(quoted));
            self.given("params", some(list(params)));
        }
    }

    fn options(&mut self, header: &str, ipv4: &[RawOption], ipv6: &[RawOption]) {
        let ipv4 = ipv4.iter().map(|option| (4, IpFamily::V4, option));
        let ipv6 = ipv6.iter().map(|option| (6, IpFamily::V6, option));
        for (number, family, RawOption { code, body, always }) in ipv4.chain(ipv6) {
            self.section(header);
            self.value("family", number);
            self.value("code", code);
            if let Some(name) = option_names::name_of(*code, family) {
                self.comment("name", name);
            }
            self.value("hex", quoted(hex(body)));
            self.value("always", always);
        }
    }

    /// Writes what an entry says: what it does not say is the network's.
    fn vm(&mut self, entry: &VmEntry) {
        self.section("[[vm]]");
        self.value("id", quoted(&entry.id));
        self.given("nic", entry.nic.as_ref().map(quoted));
        self.given("ipv4", (!entry.ipv4.is_empty()).then(|| list(&entry.ipv4)));
        self.given("ipv6", (!entry.ipv6.is_empty()).then(|| list(&entry.ipv6)));
        self.given("prefix", entry.prefix.map(quoted));
        self.given("hostname", entry.hostname.as_ref().map(quoted));
        self.given("domain", entry.domain.as_ref().map(quoted));
        self.given("search", entry.search.as_ref().map(list));
        self.given("dns", entry.dns.as_ref().map(list));
        self.given("ntp", entry.ntp.as_ref().map(list));
        self.given("mtu", entry.mtu);
        self.given("captive-portal", entry.captive_portal.as_ref().map(quoted));
        self.given("dnr", entry.resolvers.as_deref().map(dnr));
        self.given("routes", entry.routes.as_deref().map(routes));
        match entry.boot.as_deref() {
            Some([]) => self.value("boot", "{}"),
            Some(rules) => self.rules("[[vm.boot.rule]]", rules),
            None => {}
        }
        self.options("[[vm.option]]", &entry.ipv4_options, &entry.ipv6_options);
    }

    fn given(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.value(key, value);
        }
    }
}

/// Writes a text as a TOML string.
fn quoted(text: impl Display) -> String {
    toml::Value::String(text.to_string()).to_string()
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(quoted).collect();
    format!("[{}]", items.join(", "))
}

fn ranges<A: PoolAddress>(ranges: &[PoolRange<A>]) -> String {
    list(ranges.iter().map(|range| format!("{}-{}", range.first, range.last)))
}

fn routes(routes: &[Ipv4Route]) -> String {
    let routes: Vec<String> = routes
        .iter()
        .map(|Ipv4Route { to, via }| format!("{{ to = \"{to}\", via = \"{via}\" }}"))
        .collect();
    format!("[{}]", routes.join(", "))
}

fn dnr(resolvers: &[EncryptedResolver]) -> String {
    let resolvers: Vec<String> = resolvers.iter().map(resolver).collect();
    format!("[{}]", resolvers.join(", "))
}

fn resolver(resolver: &EncryptedResolver) -> String {
    let EncryptedResolver { name, addresses, priority, params } = resolver;
    let params = match params.is_empty() {
        true => String::new(),
        false => format!(", params = {}", quoted(params)),
    };
    let addresses = list(addresses);
    format!("{{ name = \"{name}\", addresses = {addresses}, priority = {priority}{params} }}")
}

fn ipv6_route(route: &Ipv6Route) -> String {
    let Ipv6Route { to, preference, lifetime } = route;
    format!(
        "{{ to = \"{to}\", preference = \"{}\", lifetime = {} }}",
        ranked(*preference),
        duration(lifetime.0)
    )
}

fn ranked(preference: RouterPreference) -> &'static str {
    PREFERENCES.iter().find(|(_, known)| *known == preference).map_or("", |(word, _)| word)
}

fn lifetime(time: Lifetime) -> String {
    duration(time.0)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
