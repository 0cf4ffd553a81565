//! What one NIC is given, value by value, named as the files name them.
//!
//! Every field is taken by its name, so that a new one does not compile until it is written here.

use std::fmt::Display;

use crate::config;
use crate::network::{
    AddressMode, BootRule, EncryptedResolver, Gateway, Ipv4Parameters, Ipv4Route, Ipv6Parameters,
    Ipv6Route, Lifetime, Mask, Parameters, PrefixInformation, RawOption, RouterAdvertisement,
    RouterPreference,
};
use crate::probe;

/// A value's name and text; what is not set is left out.
pub(super) type Value = (&'static str, String);

/// Writes everything down that `parameters` give.
pub(super) fn values(parameters: &Parameters) -> Vec<Value> {
    let Parameters {
        hostname,
        domain,
        search,
        dns,
        ntp,
        mtu,
        captive_portal,
        resolvers,
        boot,
        gateway,
        ipv4,
        ipv6,
        server_duid,
    } = parameters;
    let mut out = Values::default();
    out.maybe("hostname", hostname.as_ref());
    out.maybe("domain", domain.as_ref());
    out.list("search", search);
    out.list("dns", dns);
    out.list("ntp", ntp);
    out.maybe("mtu", mtu.as_ref());
    out.maybe("captive-portal", captive_portal.as_ref());
    out.texts("dnr", resolvers.iter().map(resolver));
    out.texts("boot", boot.iter().map(boot_rule));
    out.gateway(gateway);
    if let Some(ipv4) = ipv4 {
        out.ipv4(ipv4);
    }
    if let Some(ipv6) = ipv6 {
        out.ipv6(ipv6);
        out.put("server DUID", hex(server_duid));
    }
    out.0
}

#[derive(Debug, Default)]
struct Values(Vec<Value>);

impl Values {
    fn put(&mut self, name: &'static str, value: impl Display) {
        self.0.push((name, value.to_string()));
    }

    fn maybe(&mut self, name: &'static str, value: Option<&impl Display>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn list<T: Display>(&mut self, name: &'static str, values: &[T]) {
        self.texts(name, values.iter().map(ToString::to_string));
    }

    fn texts(&mut self, name: &'static str, texts: impl Iterator<Item = String>) {
        let texts: Vec<String> = texts.collect();
        if !texts.is_empty() {
            self.put(name, texts.join(", "));
        }
    }

    fn gateway(&mut self, gateway: &Gateway) {
        let Gateway { source_mac, mac_given, answer, answer_ping, announce, retire } = gateway;
        let whose = if *mac_given { "" } else { " (our own)" };
        self.put("gateway.mac", format!("{source_mac}{whose}"));
        self.put("gateway.answer", answer);
        self.put("gateway.answer-ping", answer_ping);
        self.put("gateway.announce", announce);
        self.list("gateway.retire", retire);
    }

    fn ipv4(&mut self, ipv4: &Ipv4Parameters) {
        let Ipv4Parameters {
            subnet,
            gateway,
            server_id,
            address,
            lease_time,
            renew_time,
            rebind_time,
            mask,
            routes,
            rapid_commit,
            ipv6_only_wait,
            auto_configure,
            options,
        } = ipv4;
        self.maybe("ipv4", address.as_ref());
        self.put("ipv4.subnet", subnet);
        self.maybe("ipv4.gateway", gateway.as_ref());
        self.put("ipv4.server-id", server_id);
        self.put("ipv4.lease-time", lifetime(*lease_time));
        self.maybe("ipv4.renew-time", renew_time.map(duration).as_ref());
        self.maybe("ipv4.rebind-time", rebind_time.map(duration).as_ref());
        self.put(
            "ipv4.mask",
            match mask {
                Mask::Subnet => "subnet",
                Mask::Host => "host",
            },
        );
        self.texts("ipv4.routes", routes.iter().map(ipv4_route));
        self.put("ipv4.rapid-commit", rapid_commit);
        self.maybe("ipv4.ipv6-only-wait", ipv6_only_wait.map(duration).as_ref());
        self.maybe("ipv4.auto-configure", auto_configure.as_ref());
        self.texts("ipv4.options", options.iter().map(|raw| option(raw, probe::dhcpv4_option)));
    }

    fn ipv6(&mut self, ipv6: &Ipv6Parameters) {
        let Ipv6Parameters {
            subnet,
            gateway,
            link_local,
            address,
            delegated,
            mode,
            preferred_lifetime,
            valid_lifetime,
            renew_time,
            rebind_time,
            rapid_commit,
            server_preference,
            information_refresh_time,
            solicit_max_retry,
            information_max_retry,
            prefixes,
            routes,
            ra,
            options,
        } = ipv6;
        self.maybe("ipv6", address.as_ref());
        self.maybe("ipv6.delegate", delegated.as_ref());
        self.put("ipv6.subnet", subnet);
        self.maybe("ipv6.gateway", gateway.as_ref());
        self.put("ipv6 link-local", link_local);
        self.put(
            "ipv6.mode",
            match mode {
                AddressMode::Stateful => "stateful",
                AddressMode::Stateless => "stateless",
                AddressMode::Slaac => "slaac",
            },
        );
        self.put("ipv6.preferred-lifetime", lifetime(*preferred_lifetime));
        self.put("ipv6.valid-lifetime", lifetime(*valid_lifetime));
        self.put("ipv6.renew-time", lifetime(*renew_time));
        self.put("ipv6.rebind-time", lifetime(*rebind_time));
        self.put("ipv6.rapid-commit", rapid_commit);
        self.maybe("ipv6.server-preference", server_preference.as_ref());
        let refresh = information_refresh_time.map(duration);
        self.maybe("ipv6.information-refresh-time", refresh.as_ref());
        self.maybe("ipv6.sol-max-rt", solicit_max_retry.map(duration).as_ref());
        self.maybe("ipv6.inf-max-rt", information_max_retry.map(duration).as_ref());
        self.texts("ipv6.prefix", prefixes.iter().map(prefix));
        self.texts("ipv6.routes", routes.iter().map(ipv6_route));
        self.router(ra);
        self.texts("ipv6.options", options.iter().map(|raw| option(raw, probe::dhcpv6_option)));
    }

    fn router(&mut self, ra: &RouterAdvertisement) {
        let RouterAdvertisement {
            router_lifetime,
            hop_limit,
            preference,
            interval,
            dns_lifetime,
            pref64,
        } = ra;
        self.put("ipv6.ra.router-lifetime", duration((*router_lifetime).into()));
        self.put("ipv6.ra.hop-limit", hop_limit);
        self.put("ipv6.ra.preference", preference_word(*preference));
        self.put(
            "ipv6.ra.interval",
            match interval {
                Some((shortest, longest)) => format!("{shortest}s-{longest}s"),
                None => "off".to_owned(),
            },
        );
        self.put("ipv6.ra.dns-lifetime", lifetime(*dns_lifetime));
        self.maybe("ipv6.ra.pref64", pref64.map(|pref64| pref64.prefix).as_ref());
    }
}

fn resolver(resolver: &EncryptedResolver) -> String {
    let EncryptedResolver { name, addresses, priority, params } = resolver;
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let text = format!("{priority} {name} {} {params}", addresses.join(" "));
    text.trim_end().to_owned()
}

/// Writes a rule as its fields are: it is compared more than it is read.
fn boot_rule(rule: &BootRule) -> String {
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
    let mut parts = Vec::new();
    let mut part = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            parts.push(format!("{name} {value}"));
        }
    };
    let listed = |texts: Vec<String>| (!texts.is_empty()).then(|| texts.join(" "));
    part("arch", listed(architectures.iter().map(|arch| format!("{arch:?}")).collect()));
    part("vendor-class", listed(vendor_classes.clone()));
    part("user-class", listed(user_classes.clone()));
    part("ipxe", ipxe.map(|ipxe| ipxe.to_string()));
    part("next-server", next_server.map(|server| server.to_string()));
    part("server-name", server_name.clone());
    part("tftp-server", tftp_server.clone());
    part("tftp-addresses", listed(tftp_addresses.iter().map(ToString::to_string).collect()));
    part("file", file.clone());
    part("path-prefix", path_prefix.clone());
    part("url", url.as_ref().map(ToString::to_string));
    part("params", listed(params.clone()));
    format!("({})", parts.join(", "))
}

fn ipv4_route(Ipv4Route { to, via }: &Ipv4Route) -> String {
    format!("{to} via {via}")
}

fn ipv6_route(Ipv6Route { to, preference, lifetime: time }: &Ipv6Route) -> String {
    format!("{to} {} {}", preference_word(*preference), lifetime(*time))
}

fn prefix(information: &PrefixInformation) -> String {
    let PrefixInformation { prefix, on_link, autonomous, preferred_lifetime, valid_lifetime } =
        information;
    let on_link = if *on_link { "on link" } else { "not on link" };
    let autonomous = if *autonomous { "SLAAC" } else { "no SLAAC" };
    let (preferred, valid) = (lifetime(*preferred_lifetime), lifetime(*valid_lifetime));
    format!("{prefix} {on_link}, {autonomous}, {preferred}, {valid}")
}

/// Writes an option in words; what has none by its code and bytes.
fn option(
    RawOption { code, body, always }: &RawOption,
    words: fn(u16, &[u8]) -> Option<String>,
) -> String {
    let always = if *always { " always" } else { "" };
    let text = words(*code, body).unwrap_or_else(|| format!("{code} {}", hex(body)));
    format!("{text}{always}")
}

fn preference_word(preference: RouterPreference) -> &'static str {
    match preference {
        RouterPreference::High => "high",
        RouterPreference::Medium => "medium",
        RouterPreference::Low => "low",
    }
}

fn lifetime(time: Lifetime) -> String {
    duration(time.0)
}

/// Writes seconds as the files do, without the quotes.
fn duration(seconds: u32) -> String {
    config::duration(seconds).trim_matches('"').to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{LeaseKey, LeaseTable, Occasion};
    use crate::network::tests::network;
    use crate::time::Wall;

    #[test]
    fn an_option_is_written_as_a_person_would_and_else_as_bytes() {
        let raw = |code, body: &[u8], always| RawOption { code, body: body.into(), always };
        let v4 = |raw: &RawOption| option(raw, probe::dhcpv4_option);
        assert_eq!(v4(&raw(150, &[10, 20, 0, 5], false)), "tftp-server-address 10.20.0.5");
        assert_eq!(v4(&raw(43, &[1, 4], true)), "43 0104 always");
        assert_eq!(v4(&raw(230, &[1], false)), "230 01");
        let v6 = |raw: &RawOption| option(raw, probe::dhcpv6_option);
        assert_eq!(v6(&raw(64, b"\x04aftr\x07example\0", false)), "aftr-name aftr.example");
        assert_eq!(v6(&raw(700, &[1], false)), "700 01");
    }

    #[test]
    fn what_is_not_set_is_left_out() {
        let network = network("blue");
        let key = LeaseKey {
            network: network.name.clone(),
            vm: "demo/web-1".parse().unwrap(),
            nic: "default".parse().unwrap(),
        };
        let occasion = Occasion { node: "node-a", wall: Wall(0) };
        let lease = LeaseTable::default().assign(&network, &key, occasion).lease;
        let told = values(&network.parameters(&lease, [0; 18]));
        let told: Vec<(&str, &str)> =
            told.iter().map(|(name, text)| (*name, text.as_str())).collect();
        assert_eq!(
            told,
            [
                ("hostname", "web-1"),
                ("gateway.mac", "02:00:00:00:00:01 (our own)"),
                ("gateway.answer", "false"),
                ("gateway.answer-ping", "false"),
                ("gateway.announce", "false"),
                ("ipv4.subnet", "10.0.0.0/24"),
                ("ipv4.gateway", "10.0.0.1"),
                ("ipv4.server-id", "10.0.0.1"),
                ("ipv4.lease-time", "1h"),
                ("ipv4.renew-time", "30m"),
                ("ipv4.rebind-time", "3150s"),
                ("ipv4.mask", "subnet"),
                ("ipv4.rapid-commit", "false"),
            ]
        );
    }
}
