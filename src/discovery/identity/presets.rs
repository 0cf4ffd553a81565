//! Built-in rules for what today's systems write about a VM's port.
//!
//! Each knows the keys of one writer. A row that one of them recognizes, but that does not say
//! which VM it is, is never guessed at.

use super::{Attempt, Evidence, named, seen};
use crate::discovery::{IdentityTrace, Seen};

/// A built-in rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// vm-id, iface-id.
    Libvirt,
    /// os-vif: vm-uuid, iface-id.
    OpenStack,
    /// pod_namespace and pod_name, which is the VM's; iface-id tells the NIC.
    KubeOvn,
    /// iface-id names namespace and virt-launcher pod; pod-if-name the NIC.
    OvnKubernetes,
    /// contIface and contPodUid on the Port row.
    OvsCni,
}

impl Preset {
    /// Every preset, in the order in which they are tried unless the file says otherwise.
    pub const ALL: [Self; 5] =
        [Self::Libvirt, Self::OpenStack, Self::KubeOvn, Self::OvnKubernetes, Self::OvsCni];

    /// Returns the name that the file uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Libvirt => "libvirt",
            Self::OpenStack => "openstack",
            Self::KubeOvn => "kube-ovn",
            Self::OvnKubernetes => "ovn-kubernetes",
            Self::OvsCni => "ovs-cni",
        }
    }

    /// Returns the external id without which it has nothing to say.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Libvirt => "vm-id",
            Self::OpenStack => "vm-uuid",
            Self::KubeOvn => "pod_name",
            Self::OvnKubernetes => "iface-id of a virt-launcher pod",
            Self::OvsCni => "contIface",
        }
    }

    /// Tries to name the VM behind a port.
    pub(super) fn attempt(self, evidence: &Evidence) -> Attempt {
        let mut look = Look { evidence, saw: Vec::new() };
        match self {
            Self::Libvirt | Self::OpenStack => match look.at(self.key()) {
                Some(vm) => {
                    let nic = look.at("iface-id").unwrap_or("default");
                    self.name_it(vm, nic, look)
                }
                None => Attempt::Silent,
            },
            Self::KubeOvn => self.kube_ovn(look),
            Self::OvnKubernetes => self.ovn_kubernetes(look),
            Self::OvsCni => self.ovs_cni(look),
        }
    }

    /// `iface-id` is `NAME.NAMESPACE`, and `.PROVIDER` behind it on every network but the default.
    fn kube_ovn(self, mut look: Look<'_>) -> Attempt {
        let (Some(pod), Some(namespace)) = (look.at("pod_name"), look.at("pod_namespace")) else {
            return Attempt::Silent;
        };
        let default = format!("{pod}.{namespace}");
        let nic = match look.at("iface-id").and_then(|id| id.strip_prefix(&default)) {
            None | Some("") => "default",
            Some(rest) => rest.strip_prefix('.').unwrap_or("default"),
        };
        // With its support for VMs switched off it writes the pod's own name.
        let vm = match VmOfPod::of(pod) {
            VmOfPod::Named(vm) => vm,
            VmOfPod::NotOfAVm => pod,
            VmOfPod::MayBeCut => return self.cut(pod),
        };
        if !is_kubernetes_name(namespace) || !is_kubernetes_name(vm) {
            return self.cannot(format!("{namespace:?} and {pod:?} are no names of Kubernetes"));
        }
        self.name_it(&format!("{namespace}/{vm}"), nic, look)
    }

    /// `iface-id` is `NAMESPACE_POD`, behind `NETWORK_` on every network but the default; none of
    /// the three has an underscore of its own.
    fn ovn_kubernetes(self, mut look: Look<'_>) -> Attempt {
        let Some(id) = look.at("iface-id") else { return Attempt::Silent };
        let mut parts = id.rsplit('_');
        let (Some(pod), Some(namespace)) = (parts.next(), parts.next()) else {
            return Attempt::Silent;
        };
        if parts.count() > 1 || !is_kubernetes_name(namespace) || !is_kubernetes_name(pod) {
            return Attempt::Silent;
        }
        let vm = match VmOfPod::of(pod) {
            VmOfPod::Named(vm) => vm,
            VmOfPod::NotOfAVm => return self.cannot(format!("pod {pod} is not a VM's")),
            VmOfPod::MayBeCut => return self.cut(pod),
        };
        // Versions before it wrote pod-if-name tell the networks of a pod apart by nad alone.
        let nic = look.at("pod-if-name").or_else(|| look.at("k8s.ovn.org/nad"));
        self.name_it(&format!("{namespace}/{vm}"), nic.unwrap_or("default"), look)
    }

    /// It writes the pod's UID, which is new at every start; only where an OVN port is given does
    /// the row say more, and that is for the presets of those who make OVN ports.
    fn ovs_cni(self, mut look: Look<'_>) -> Attempt {
        if look.at("contIface").is_none() {
            return Attempt::Silent;
        }
        let reason = "its row has the pod's UID alone, which is new at every start; name the VM by \
                      an [[identity]] rule";
        self.cannot(reason.to_owned())
    }

    fn name_it(self, vm: &str, nic: &str, mut look: Look<'_>) -> Attempt {
        // It is kept for as long as the port is.
        look.saw.shrink_to_fit();
        Attempt::Decided(named(vm, nic, IdentityTrace { rule: self.rule(), saw: look.saw }))
    }

    fn cut(self, pod: &str) -> Attempt {
        self.cannot(format!(
            "pod name {pod} has 63 characters and may have been cut: it does not tell the VM; name \
             it by an [[identity]] rule"
        ))
    }

    fn cannot(self, reason: String) -> Attempt {
        Attempt::Recognized(format!("{}: {reason}", self.rule()))
    }

    fn rule(self) -> String {
        format!("preset {}", self.name())
    }
}

/// The external ids that a preset looks at, each kept for the trace.
struct Look<'a> {
    evidence: &'a Evidence,
    saw: Vec<Seen>,
}

impl<'a> Look<'a> {
    fn at(&mut self, key: &str) -> Option<&'a str> {
        let value = self.evidence.external_id(key)?;
        self.saw.push(seen(format!("external-ids:{key}"), value));
        Some(value)
    }
}

/// What a pod's name tells of a VM.
#[derive(Debug, PartialEq, Eq)]
enum VmOfPod<'a> {
    /// It runs this VM.
    Named(&'a str),
    /// It runs none.
    NotOfAVm,
    /// It runs one, whose name may not be whole.
    MayBeCut,
}

impl<'a> VmOfPod<'a> {
    /// Reads `virt-launcher-NAME-RANDOM`.
    ///
    /// Kubernetes cuts what stands before the random end so that the whole has 63 characters:
    /// of a shorter name nothing was cut, and of one with 63 nobody can tell.
    fn of(pod: &'a str) -> Self {
        let Some(rest) = pod.strip_prefix("virt-launcher-") else { return Self::NotOfAVm };
        if pod.len() >= LONGEST_POD_NAME {
            return Self::MayBeCut;
        }
        match rest.rsplit_once('-') {
            Some((vm, random)) if !vm.is_empty() && random.len() == RANDOM_END => Self::Named(vm),
            Some(_) | None => Self::NotOfAVm,
        }
    }
}

/// Tells whether a text is what Kubernetes lets a namespace, pod or VM be called.
fn is_kubernetes_name(text: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    !text.is_empty() && text.len() <= 253 && text.bytes().all(allowed)
}

/// The longest name that Kubernetes makes of a prefix and a random end, in bytes.
const LONGEST_POD_NAME: usize = 63;

/// How many characters Kubernetes appends.
const RANDOM_END: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::{Identity, Unidentified, identify};

    fn ids(pairs: &[(&str, &str)]) -> Evidence {
        let pairs = pairs.iter().map(|&(key, value)| (key.into(), value.into()));
        Evidence { interface_external_ids: pairs.collect(), ..Evidence::default() }
    }

    /// Returns `VM NIC RULE`, or the reason.
    fn named_by(evidence: &Evidence, presets: &[Preset]) -> String {
        match identify(evidence, &[], presets) {
            Ok(Identity { vm, nic, trace }) => format!("{vm} {nic} {}", trace.rule),
            Err(Unidentified(reason)) => reason,
        }
    }

    fn named(evidence: &Evidence) -> String {
        named_by(evidence, &Preset::ALL)
    }

    /// What ovnkube writes for the default network of a virt-launcher pod.
    const OVN_KUBERNETES: [(&str, &str); 6] = [
        ("attached_mac", "0a:58:0a:80:00:05"),
        ("iface-id", "prod_virt-launcher-db-1-x7k2p"),
        ("iface-id-ver", "e31f6b9c-50f7-4a3e-9f6d-4a3c9c1f0a11"),
        ("ip_addresses", "10.128.0.5/23"),
        ("pod-if-name", "eth0"),
        ("sandbox", "3a8c5b7bb3f6f2d0e1a4c5b6d7e8f9a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6"),
    ];

    fn with_iface_id(id: &str, nic: Option<&str>) -> Evidence {
        let mut evidence = ids(&OVN_KUBERNETES);
        evidence.interface_external_ids.insert("iface-id".into(), id.into());
        match nic {
            Some(nic) => evidence.interface_external_ids.insert("pod-if-name".into(), nic.into()),
            None => evidence.interface_external_ids.remove("pod-if-name"),
        };
        evidence
    }

    #[test]
    fn ovn_kubernetes_default_network_gives_namespace_and_vm_of_the_pod() {
        assert_eq!(named(&ids(&OVN_KUBERNETES)), "prod/db-1 eth0 preset ovn-kubernetes");
    }

    #[test]
    fn ovn_kubernetes_user_defined_networks_are_told_apart_by_the_pods_interface() {
        let evidence = with_iface_id(
            "prod.tenant.blue_prod_virt-launcher-db-1-x7k2p",
            // KubeVirt's: "pod" and the start of the SHA-256 of the network's name.
            Some("pod37a8eec1ce1"),
        );
        assert_eq!(named(&evidence), "prod/db-1 pod37a8eec1ce1 preset ovn-kubernetes");
        let primary = with_iface_id("prod.tenant_prod_virt-launcher-db-1-x7k2p", Some("ovn-udn1"));
        assert_eq!(named(&primary), "prod/db-1 ovn-udn1 preset ovn-kubernetes");
    }

    #[test]
    fn ovn_kubernetes_before_pod_if_name_has_the_networks_definition_as_nic() {
        let mut evidence = with_iface_id("prod.blue_prod_virt-launcher-db-1-x7k2p", None);
        evidence.interface_external_ids.insert("k8s.ovn.org/nad".into(), "prod/blue".into());
        assert_eq!(named(&evidence), "prod/db-1 prod/blue preset ovn-kubernetes");
        let default = with_iface_id("prod_virt-launcher-db-1-x7k2p", None);
        assert_eq!(named(&default), "prod/db-1 default preset ovn-kubernetes");
    }

    #[test]
    fn a_vm_keeps_its_name_from_pod_to_pod() {
        for pod in ["virt-launcher-db-1-x7k2p", "virt-launcher-db-1-99999"] {
            let evidence = with_iface_id(&format!("prod_{pod}"), Some("eth0"));
            assert_eq!(named(&evidence), "prod/db-1 eth0 preset ovn-kubernetes");
        }
    }

    #[test]
    fn the_longest_pod_name_that_is_surely_whole_names_its_vm() {
        // 14 + 42 + 1 + 5 characters.
        let vm = "v".repeat(42);
        let evidence = with_iface_id(&format!("prod_virt-launcher-{vm}-abcde"), Some("eth0"));
        assert_eq!(named(&evidence), format!("prod/{vm} eth0 preset ovn-kubernetes"));
    }

    #[test]
    fn a_pod_name_that_may_have_been_cut_names_nobody() {
        for (vm, end) in [("v".repeat(43), "-abcde"), ("v".repeat(44), "abcde")] {
            let pod = format!("virt-launcher-{vm}{end}");
            let reason = named(&with_iface_id(&format!("prod_{pod}"), Some("eth0")));
            assert!(
                reason.contains(&format!("pod name {pod} has 63 characters and may have been cut")),
                "{reason}"
            );
        }
    }

    #[test]
    fn a_cut_pod_name_is_no_hindrance_to_a_later_preset() {
        let pod = format!("virt-launcher-{}-abcde", "v".repeat(43));
        let mut evidence = with_iface_id(&format!("prod_{pod}"), Some("eth0"));
        evidence.interface_external_ids.insert("vm-id".into(), "the-vm".into());
        let presets = [Preset::OvnKubernetes, Preset::Libvirt];
        assert_eq!(named_by(&evidence, &presets), format!("the-vm prod_{pod} preset libvirt"));
    }

    #[test]
    fn an_ordinary_pod_is_no_vm() {
        for pod in ["web-7d9c6b5f4d-abcde", "virt-launcher-abcde", "virt-launcher--abcde"] {
            assert_eq!(
                named(&with_iface_id(&format!("prod_{pod}"), Some("eth0"))),
                format!("preset ovn-kubernetes: pod {pod} is not a VM's")
            );
        }
    }

    #[test]
    fn what_ovn_kubernetes_does_not_write_is_not_read_as_its_own() {
        for id in ["0b8dbd3e-6b60-4a3f-8a55-5ac1d8a5b9a7", "a_b_c_virt-launcher-d-abcde", "A_b"] {
            let evidence = ids(&[("iface-id", id)]);
            assert_eq!(
                named_by(&evidence, &[Preset::OvnKubernetes]),
                "no iface-id of a virt-launcher pod in external_ids"
            );
        }
    }

    /// What Kube-OVN's daemon writes for a VM's port.
    fn kube_ovn(iface_id: &str, pod: &str) -> Evidence {
        ids(&[
            ("iface-id", iface_id),
            ("ip", "10.16.0.5"),
            ("pod_name", pod),
            ("pod_namespace", "prod"),
            ("pod_netns", "/var/run/netns/cni-6d0b4b2e-4f6b-9d3c-5c3a-0d3f8d1f2a11"),
            ("vendor", "kube-ovn"),
        ])
    }

    #[test]
    fn kube_ovn_writes_the_vm_as_the_pods_name() {
        assert_eq!(named(&kube_ovn("db-1.prod", "db-1")), "prod/db-1 default preset kube-ovn");
    }

    #[test]
    fn kube_ovn_nics_are_told_apart_by_the_provider() {
        let evidence = kube_ovn("db-1.prod.blue.tenants.ovn", "db-1");
        assert_eq!(named(&evidence), "prod/db-1 blue.tenants.ovn preset kube-ovn");
    }

    #[test]
    fn kube_ovn_with_pod_names_gives_the_vm_in_them() {
        let pod = "virt-launcher-db-1-x7k2p";
        assert_eq!(
            named(&kube_ovn(&format!("{pod}.prod"), pod)),
            "prod/db-1 default preset kube-ovn"
        );
        let cut = format!("virt-launcher-{}-abcde", "v".repeat(43));
        let reason = named(&kube_ovn(&format!("{cut}.prod"), &cut));
        assert!(reason.contains("may have been cut"), "{reason}");
    }

    #[test]
    fn kube_ovn_names_that_kubernetes_has_not_are_refused() {
        let reason = named(&kube_ovn("x", "../\u{1b}[2J"));
        assert!(reason.contains("are no names of Kubernetes"), "{reason}");
        assert!(!reason.contains('\u{1b}'), "{reason}");
    }

    #[test]
    fn ovs_cni_rows_say_why_they_name_nobody_and_can_be_named_by_an_own_rule() {
        let keys = [
            ("contIface", "net1"),
            ("contNetns", "/var/run/netns/cni-6d0b4b2e-4f6b-9d3c-5c3a-0d3f8d1f2a11"),
            ("contPodUid", "e31f6b9c-50f7-4a3e-9f6d-4a3c9c1f0a11"),
            ("owner", "ovs-cni.network.kubevirt.io"),
        ];
        let ids = ids(&keys).interface_external_ids;
        let evidence = Evidence { port_external_ids: ids, ..Evidence::default() };
        let reason = named(&evidence);
        assert!(reason.starts_with("preset ovs-cni: its row has the pod's UID alone"), "{reason}");
        let rule = super::super::IdentityRule {
            from: super::super::Field::ExternalId("contIface".into()),
            pattern: regex_lite::Regex::new("^(?<nic>net1)$").unwrap(),
            vm: "lab/only".into(),
            nic: "{nic}".into(),
        };
        let identity = identify(&evidence, &[rule], &Preset::ALL).unwrap();
        assert_eq!((identity.vm.as_str(), identity.nic.as_str()), ("lab/only", "net1"));
    }

    #[test]
    fn an_ovs_cni_port_with_an_ovn_port_of_a_virt_launcher_is_named_by_that() {
        let keys = [("contIface", "net1"), ("owner", "ovs-cni.network.kubevirt.io")];
        let evidence = Evidence {
            port_external_ids: ids(&keys).interface_external_ids,
            ..ids(&[("iface-id", "prod_virt-launcher-db-1-x7k2p")])
        };
        assert_eq!(named(&evidence), "prod/db-1 default preset ovn-kubernetes");
    }

    #[test]
    fn the_trace_has_what_was_looked_at_in_order() {
        let trace = identify(&ids(&OVN_KUBERNETES), &[], &Preset::ALL).unwrap().trace;
        let saw: Vec<_> = trace.saw.iter().map(|saw| (saw.key.as_str(), &*saw.value)).collect();
        assert_eq!(
            saw,
            [
                ("external-ids:iface-id", "prod_virt-launcher-db-1-x7k2p"),
                ("external-ids:pod-if-name", "eth0"),
            ]
        );
    }
}
