//! The served ports: their tasks and sockets.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use futures_channel::mpsc::UnboundedSender;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::closing::Closing;
use super::exchange::LastExchange;
use super::plan::Service;
use super::port_task::{Guest, Order, PortReport, PortTask};
use super::watch::{Tap, Wanted};
use crate::binding::Binding;
use crate::broker::SocketPool;
use crate::config::Limits;
use crate::control::Past;
use crate::lease::LeaseKey;
use crate::net::{AsyncPacketSocket, Filter, PacketSocket, Way, interface_index};
use crate::network::Parameters;
use crate::responder::RateLimit;
use crate::telemetry::NetworkMetrics;

/// Starts, rebinds and stops the ports' tasks.
pub(super) struct Ports {
    /// Boxed: a table is up to twice as large as what is in it.
    served: HashMap<String, Box<Served>>,
    pool: SocketPool,
    closing: Closing,
    limits: Limits,
    reports: mpsc::Sender<PortReport>,
    /// Who watches which ports.
    watches: Vec<(Wanted, Tap)>,
}

/// How starting a port went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Started {
    /// Its guest is answered.
    Serving,
    /// It is not: `max-ports` are served already.
    Full(String),
    /// It is not: the system refused, and may not do so later.
    Failed(String),
}

/// By what a port is served.
pub(super) struct Terms {
    /// Whose lease, where and by which template.
    pub(super) service: Service,
    /// What its guest is told.
    pub(super) parameters: Parameters,
    /// Whether its guest is there, if the port is not served yet.
    pub(super) guest: Guest,
    /// Where its frames are counted.
    pub(super) metrics: Arc<NetworkMetrics>,
}

struct Served {
    terms: Terms,
    limit: RateLimit,
    /// Orders are few and obeyed at once: a channel that takes room only for what is in it.
    orders: UnboundedSender<Order>,
    task: JoinHandle<(PacketSocket, Guest)>,
    last: Arc<LastExchange>,
    /// Where the VM was heard since it was last heard here.
    elsewhere: Option<String>,
}

impl Ports {
    /// Makes the registry; tasks report to `reports`. Must be called inside the runtime.
    pub(super) fn new(pool: SocketPool, limits: Limits, reports: mpsc::Sender<PortReport>) -> Self {
        let (served, watches) = (HashMap::new(), Vec::new());
        Self { served, pool, closing: Closing::start(), limits, reports, watches }
    }

    /// Returns how a port is served, if it is.
    pub(super) fn service(&self, interface: &str) -> Option<&Service> {
        self.served.get(interface).map(|served| &served.terms.service)
    }

    /// Returns the last exchange on a port, if it is served.
    pub(super) fn last(&self, interface: &str) -> Option<&LastExchange> {
        self.served.get(interface).map(|served| served.last.as_ref())
    }

    /// Returns what a port's guest is told, if it is served.
    pub(super) fn terms(&self, interface: &str) -> Option<&Terms> {
        self.served.get(interface).map(|served| &served.terms)
    }

    /// Returns the last exchanges on a port, the latest last; none if it is not served.
    pub(super) async fn exchanges(&self, interface: &str) -> Vec<Past> {
        let Some(served) = self.served.get(interface) else {
            return Vec::new();
        };
        let (answer, answered) = oneshot::channel();
        // A task that has ended has forgotten them.
        served.tell(Order::Recall(answer));
        answered.await.unwrap_or_default()
    }

    /// Shows the ports that are wanted to a watcher, now and as they appear. Returns how many there
    /// are now; `None`: too many watch already.
    pub(super) async fn watch(&mut self, wanted: Wanted, tap: Tap) -> Option<usize> {
        self.watches.retain(|(_, tap)| !tap.is_closed());
        if self.watches.len() >= WATCHES {
            return None;
        }
        let mut ports: usize = 0;
        for (interface, served) in &self.served {
            if wanted.takes(interface, served.terms.service.key.vm.as_str()) {
                ports = ports.saturating_add(1);
                // A task that has ended is watched when it is started anew.
                served.tell(Order::Watch(tap.clone()));
            }
        }
        self.watches.push((wanted, tap));
        Some(ports)
    }

    /// Says where the VM of a served port is, if it was heard elsewhere since (clause D6).
    pub(super) fn elsewhere(&self, interface: &str) -> Option<&str> {
        self.served.get(interface).and_then(|served| served.elsewhere.as_deref())
    }

    /// Takes note that a port's guest is there.
    pub(super) fn guest_came(&mut self, interface: &str) {
        if let Some(served) = self.served.get_mut(interface) {
            served.elsewhere = None;
        }
    }

    /// Takes note that the VM of `key` is elsewhere, as `reason` says: the port, if it serves that
    /// VM, says nothing more unasked until its guest speaks there.
    pub(super) async fn guest_left(&mut self, interface: &str, key: &LeaseKey, reason: &str) {
        let served = self.served.get_mut(interface);
        if let Some(served) = served.filter(|served| served.terms.service.key == *key) {
            served.elsewhere = Some(reason.to_owned());
            served.tell(Order::GuestLeft);
        }
    }

    /// Takes the limits of files read anew, `max-ports` aside.
    pub(super) fn limit(&mut self, limits: Limits) {
        self.limits = Limits { max_ports: self.limits.max_ports, ..limits };
    }

    /// Serves a port from now on by `terms`.
    pub(super) async fn serve(&mut self, interface: &str, mut terms: Terms) -> Started {
        let limit = self.rate_limit();
        if let Some(served) = self.served.get_mut(interface) {
            if served.has_socket_for(&terms) && !served.task.is_finished() {
                served.update(terms, limit).await;
                return Started::Serving;
            }
            // Another guest, or another device: what the old socket still holds is not answered. Or
            // another filter, which is the socket's for its life: then the guest is where it was.
            let is_same_guest = served.is_for_guest_of(&terms);
            let guest = self.stop(interface).await.filter(|_| is_same_guest);
            terms.guest = guest.unwrap_or(terms.guest);
        }
        if self.is_full() {
            let most = self.limits.max_ports;
            return Started::Full(format!("as many ports are served as max-ports = {most} allows"));
        }
        match self.open(interface, &terms).await {
            Ok(socket) => {
                let served = self.start(interface, socket, terms);
                self.served.insert(interface.to_owned(), Box::new(served));
                Started::Serving
            }
            Err(error) => Started::Failed(format!("opening its socket: {error}")),
        }
    }

    /// Tells whether no further port may be served.
    pub(super) fn is_full(&self) -> bool {
        self.served.len() >= self.limits.max_ports
    }

    /// Tells a port's task that its link came up.
    pub(super) async fn link_up(&self, interface: &str) {
        if let Some(served) = self.served.get(interface) {
            served.tell(Order::LinkUp);
        }
    }

    /// Ends a port's task and has its socket closed. When this returns, no frame of the port is
    /// answered any more. Returns what was known of its guest, if it was served.
    pub(super) async fn stop(&mut self, interface: &str) -> Option<Guest> {
        let served = self.served.remove(interface)?;
        drop(served.orders);
        let (socket, guest) = served.task.await.ok()?;
        self.closing.close(socket);
        Some(guest)
    }

    /// Ends every port's task and closes every socket.
    pub(super) async fn end(self) {
        // All are told before one is waited for.
        let tasks: Vec<_> = self.served.into_values().map(|served| served.task).collect();
        for task in tasks {
            if let Ok((socket, _)) = task.await {
                self.closing.close(socket);
            }
        }
        for socket in self.pool.take_all() {
            self.closing.close(socket);
        }
        self.closing.end().await;
    }

    async fn open(&self, interface: &str, terms: &Terms) -> io::Result<AsyncPacketSocket> {
        let ifindex = terms.service.ifindex;
        let socket = self.pool.take(terms.filter()).await?;
        let way = if terms.service.facts.is_macvtap { Way::Out } else { Way::In };
        socket.bind(ifindex, way)?;
        // The index may have gone to another device between the link event and the bind; asked for
        // again now, it cannot have done so unseen.
        if interface_index(interface) == Some(ifindex) {
            return AsyncPacketSocket::new(socket);
        }
        self.closing.close(socket);
        Err(io::Error::other("the interface changed meanwhile; it is looked at again"))
    }

    fn start(&self, interface: &str, socket: AsyncPacketSocket, terms: Terms) -> Served {
        let (orders, ordered) = futures_channel::mpsc::unbounded();
        let last = Arc::new(LastExchange::default());
        let limit = self.rate_limit();
        let task = PortTask {
            interface: interface.into(),
            ifindex: terms.service.ifindex,
            socket,
            binding: terms.binding(),
            guest: terms.guest,
            limit,
            metrics: Arc::clone(&terms.metrics),
            last: Arc::clone(&last),
            taps: self.taps(interface, terms.service.key.vm.as_str()),
            orders: ordered,
            reports: self.reports.clone(),
        };
        let task = tokio::spawn(task.run());
        Served { terms, limit, orders, task, last, elsewhere: None }
    }

    /// Returns the taps of those who watch a port.
    fn taps(&self, interface: &str, vm: &str) -> Vec<Tap> {
        let open = self.watches.iter().filter(|(_, tap)| !tap.is_closed());
        open.filter(|(wanted, _)| wanted.takes(interface, vm)).map(|(_, tap)| tap.clone()).collect()
    }

    fn rate_limit(&self) -> RateLimit {
        let Limits { frames_per_second, burst, .. } = self.limits;
        RateLimit { frames_per_second, burst }
    }
}

impl Terms {
    /// Returns what the port's socket is to let through.
    fn filter(&self) -> Filter {
        if self.parameters.gateway.answer_ping {
            Filter::ConfigurationAndEcho
        } else {
            Filter::Configuration
        }
    }

    /// Encodes what the guest is told.
    pub(super) fn binding(&self) -> Arc<Binding> {
        let Service { key, facts, .. } = &self.service;
        Arc::new(Binding::new(key.clone(), facts, &self.parameters))
    }
}

impl Served {
    /// Tells the port's task something; one that has ended needs no order.
    fn tell(&self, order: Order) {
        let _ = self.orders.unbounded_send(order);
    }

    /// Tells whether `terms` are for the guest and the device that are served, and what passes the
    /// filter is the same.
    fn has_socket_for(&self, terms: &Terms) -> bool {
        self.is_for_guest_of(terms) && self.terms.filter() == terms.filter()
    }

    /// Tells whether `terms` are for the guest and the device that are served.
    fn is_for_guest_of(&self, terms: &Terms) -> bool {
        let (old, new) = (&self.terms.service, &terms.service);
        let device = |service: &Service| (service.ifindex, service.facts.is_macvtap);
        old.key == new.key && device(old) == device(new)
    }

    /// Hands the same guest another binding, if there is anything new in it.
    async fn update(&mut self, terms: Terms, limit: RateLimit) {
        let is_same = self.terms.parameters == terms.parameters
            && self.terms.service.facts == terms.service.facts
            && self.limit == limit;
        if !is_same {
            let metrics = Arc::clone(&terms.metrics);
            let order = Order::Rebind { binding: terms.binding(), limit, metrics };
            // A task that ended meanwhile is found and started anew at the next event.
            self.tell(order);
        }
        self.terms = terms;
        self.limit = limit;
    }
}

/// How many may watch at once.
const WATCHES: usize = 8;
