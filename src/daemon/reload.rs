//! Files read anew while the daemon runs: what is right replaces what was, whole; what is not
//! replaces nothing.

use std::sync::Arc;

use super::supervisor::Supervisor;
use crate::clock;
use crate::config::Config;
use crate::control::ReloadOutcome;

impl Supervisor {
    /// Reads the files anew; a file with an error replaces nothing.
    pub(super) async fn reload(&mut self) -> ReloadOutcome {
        match self.read_files().await {
            Ok(config) => {
                let lines = self.take_config(config).await;
                for line in &lines {
                    tracing::info!("reload: {line}");
                }
                self.reload_error = None;
                self.metrics.config_loaded(clock::wall());
                ReloadOutcome { successful: true, lines }
            }
            Err(lines) => {
                for line in &lines {
                    tracing::error!("reload: {line}");
                }
                self.reload_error = Some(lines.join("; "));
                self.metrics.config_refused();
                ReloadOutcome { successful: false, lines }
            }
        }
    }

    /// Reads the files as they are now, and puts nothing into force.
    ///
    /// # Errors
    /// Every diagnostic, one line each.
    pub(super) async fn read_files(&self) -> Result<Config, Vec<String>> {
        let path = self.config.path.clone();
        let loaded = tokio::task::spawn_blocking(move || crate::config::load(&path)).await;
        match loaded {
            Ok(Ok(config)) => Ok(config),
            Ok(Err(errors)) => Err(errors.lines),
            Err(_) => {
                Err(vec!["reading the files failed with a panic; the old ones stay".to_owned()])
            }
        }
    }

    async fn take_config(&mut self, mut new: Config) -> Vec<String> {
        let old = Arc::clone(&self.config);
        let mut lines = new.warnings.clone();
        // What needs a restart stays as it is, and is said.
        let mut keep = |what: &str, differs: bool| {
            if differs {
                lines.push(format!("{what} differs; it takes effect at the next restart"));
            }
        };
        keep("[store]", new.store != old.store);
        keep("[control]", new.control_socket != old.control_socket);
        keep("max-ports", new.limits.max_ports != old.limits.max_ports);
        new.store = old.store.clone();
        new.control_socket = old.control_socket.clone();
        new.limits.max_ports = old.limits.max_ports;
        if new.metrics_listen != old.metrics_listen
            && let Err(error) = self.metrics_server.listen(new.metrics_listen).await
        {
            lines.push(format!("{error}; metrics stay where they were"));
            new.metrics_listen = old.metrics_listen;
        }
        let config = Arc::new(new);
        self.remembered.forget_unheard();
        let mut concerned = self.sources.replace(&old, &config, &mut self.claims).await;
        self.metrics
            .retain_networks(|name| config.networks.iter().any(|new| new.name.as_str() == name));
        self.ports.limit(config.limits);
        self.config = config;
        concerned.extend(self.claims.interfaces().map(str::to_owned));
        let ports = concerned.len();
        self.reconcile(concerned).await;
        lines.extend(self.table.count_outside_ranges(&self.config.networks));
        lines.push(format!("networks in force: {}; ports: {ports}", self.config.networks.len()));
        lines
    }
}
