//! `[store]` and `[store.etcd]`.

use std::path::{Path, PathBuf};

use super::daemon_file::{filled, path_in};
use super::section::{Item, Keys, Section};
use super::values::{self, Form, TEXT};
use super::{Etcd, Store};

/// Reads `[store]`; what is missing has its default.
pub(super) fn store(root: &Section<'_>, base: &Path) -> Store {
    let embedded =
        |path: Option<PathBuf>| Store::Embedded { path: path.unwrap_or_else(|| STORE_PATH.into()) };
    let Some(section) = root.get("store").and_then(|item| item.section(&STORE)) else {
        return embedded(None);
    };
    let path = section.get("path");
    let backend = section.get("backend");
    if let Some(item) = &backend
        && item.as_str() == Some("etcd")
        && !cfg!(feature = "etcd")
    {
        item.error(
            "backend \"etcd\" needs the feature \"etcd\", which was not built in; write \
             \"embedded\" or \"memory\"",
        );
        return embedded(None);
    }
    let choices: &[(&str, Backend)] = if cfg!(feature = "etcd") {
        &[("embedded", Backend::Embedded), ("etcd", Backend::Etcd), ("memory", Backend::Memory)]
    } else {
        &[("embedded", Backend::Embedded), ("memory", Backend::Memory)]
    };
    let backend = backend.and_then(|item| item.choice(choices, &[])).unwrap_or(Backend::Embedded);
    let own = section.get("etcd").and_then(|item| item.section(&ETCD));
    match backend {
        Backend::Embedded => {
            unused(own.as_ref(), "embedded");
            embedded(path.and_then(|item| path_in(base, &item)))
        }
        Backend::Etcd => {
            let path = path.and_then(|item| path_in(base, &item));
            let Some(own) = own else {
                section.error("backend \"etcd\" needs [store.etcd] with its endpoints");
                return embedded(None);
            };
            Store::Etcd { path: path.unwrap_or_else(|| STORE_PATH.into()), etcd: etcd(&own, base) }
        }
        Backend::Memory => {
            if let Some(path) = path {
                let message = "path is not used with backend \"memory\"; leave it out";
                path.file.warn(path.span, message);
            }
            unused(own.as_ref(), "memory");
            Store::Memory
        }
    }
}

fn unused(section: Option<&Section<'_>>, backend: &str) {
    if let Some(section) = section {
        let message = format!("[store.etcd] is not used with backend {backend:?}; leave it out");
        section.file.warn(section.span.clone(), message);
    }
}

fn etcd(section: &Section<'_>, base: &Path) -> Etcd {
    let read = section.require("endpoints", ENDPOINT);
    let endpoints: Vec<String> = match &read {
        Some(item) if item.is_empty_list() => {
            item.error("\"endpoints\" names no member of etcd; write at least one");
            Vec::new()
        }
        Some(_) => values::list(section, "endpoints", endpoint).unwrap_or_default(),
        None => Vec::new(),
    };
    let path = |key| section.get(key).and_then(|item| path_in(base, &item));
    let checked = Etcd {
        prefix: section.get("prefix").and_then(|item| prefix(&item)).unwrap_or(PREFIX.to_owned()),
        ca_file: path("ca-file"),
        cert_file: path("cert-file"),
        key_file: path("key-file"),
        username: section.get("username").and_then(|item| filled(&item, TEXT)),
        password_file: path("password-file"),
        endpoints,
    };
    let secured = |endpoint: &String| endpoint.starts_with("https://");
    let all = checked.endpoints.iter().all(secured);
    let any = checked.endpoints.iter().any(secured);
    if let Some(item) = &read
        && any
        && !all
    {
        item.error("\"endpoints\" mixes http and https; write all of them with https");
    }
    if any && checked.ca_file.is_none() {
        section.error("https endpoints need \"ca-file\", the certificate of their signer");
    }
    together(section, "cert-file", "key-file");
    together(section, "username", "password-file");
    checked
}

/// Two keys that say nothing without each other.
fn together(section: &Section<'_>, one: &'static str, other: &'static str) {
    for (given, missing) in [(one, other), (other, one)] {
        if let Some(item) = section.get(given)
            && section.get(missing).is_none()
        {
            item.error(format!("{given:?} needs {missing:?} beside it"));
        }
    }
}

fn endpoint(item: &Item<'_>) -> Option<String> {
    let text = item.text(ENDPOINT)?;
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let is_right = rest.is_some_and(|rest| {
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let port = rest.rsplit_once(':').and_then(|(host, port)| {
            let is_host = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic());
            port.parse::<u16>().ok().filter(|_| is_host && !host.contains(['/', '@', '?']))
        });
        port.is_some_and(|port| port != 0)
    });
    if !is_right {
        item.error_form(text, ENDPOINT);
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

fn prefix(item: &Item<'_>) -> Option<String> {
    let text = item.text(PREFIX_FORM)?;
    if !text.starts_with('/') || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        item.error_form(text, PREFIX_FORM);
        return None;
    }
    Some(text.to_owned())
}

/// What `backend` says.
#[derive(Debug, Clone, Copy)]
enum Backend {
    Embedded,
    Etcd,
    Memory,
}

const ENDPOINT: Form =
    Form { what: "the URL of a member of etcd", like: "\"https://192.0.2.1:2379\"" };
const PREFIX_FORM: Form = Form { what: "what keys begin with", like: "\"/leasehold\"" };

const STORE_PATH: &str = "/var/lib/leasehold";
const PREFIX: &str = "/leasehold";

pub(super) const STORE: Keys =
    Keys { place: " in [store]", known: &["backend", "path", "etcd"], later: &[] };
pub(super) const ETCD: Keys = Keys {
    place: " in [store.etcd]",
    known: &[
        "endpoints",
        "prefix",
        "ca-file",
        "cert-file",
        "key-file",
        "username",
        "password-file",
    ],
    later: &[],
};
