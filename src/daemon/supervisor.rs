//! The supervisor: keeps a daemon connected, starts its stages on each connection, drains them, reloads.

use super::{Daemon, DaemonError, StartError, TaskEnd, connect_config, restore_bindings};
use crate::config::{Config, Section};
use crate::live::Live;
use interline_broker::{ConnectConfig, Link};
use interline_embedded_broker::EmbeddedBroker;
use interline_store::Store;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// How long closing a connection may take when nothing waits for it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often old rows are dropped.
const RETAIN_EVERY: Duration = Duration::from_hours(1);

/// Why a session ended.
enum SessionEnd {
    /// The daemon drains.
    Stopped,
    /// Accounts changed: a new session takes the new topology.
    Reloaded,
    /// The broker is gone.
    Lost,
}

impl Daemon {
    /// Runs until it is told to stop, then drains within `[shutdown] deadline`.
    ///
    /// # Errors
    /// [`DaemonError`] if something fails that no reconnect mends.
    pub async fn run(mut self) -> Result<(), DaemonError> {
        let mut services = JoinSet::new();
        let ingest_stop = self.stop.child_token();
        if let Some(listener) = self.listener.take() {
            services.spawn(self.stages.ingest().run(listener, ingest_stop));
        }
        if let Some((listener, server)) = self.media.take() {
            services.spawn(server.run(listener, self.stop.child_token()));
        }
        services.spawn(retain(self.stages.context.store.clone(), self.stop.clone()));
        services.spawn(self.stages.expire());
        services.spawn(tell_when_stopping(self.stop.clone()));
        // Until the store is closed: a drain may take its time.
        let mut attendants = JoinSet::new();
        attendants.spawn(crate::systemd::watchdog(self.stages.context.store.clone()));
        if let Some(listener) = self.admin.take() {
            attendants.spawn(crate::admin::serve_http(listener, self.overview.clone()));
        }
        if let Some(socket) = self.status.take() {
            attendants.spawn(socket.serve(self.overview.clone()));
        }
        crate::systemd::ready();
        self.keep_connected().await?;
        let deadline = self.stages.context.live.get().config.shutdown.deadline;
        if tokio::time::timeout(deadline, async { while services.join_next().await.is_some() {} })
            .await
            .is_err()
        {
            warn!("webhook requests were still open at the deadline");
        }
        attendants.shutdown().await;
        self.stages.context.store.close().await?;
        if let Some(embedded) = &self.embedded {
            embedded.stop().await;
        }
        info!("stopped");
        Ok(())
    }

    async fn keep_connected(&mut self) -> Result<(), DaemonError> {
        let mut failures = 0;
        while !self.stop.is_cancelled() {
            let config = self.connect_config()?;
            let (min, max) = {
                let live = self.stages.context.live.get();
                (live.config.broker.reconnect_backoff_min, live.config.broker.reconnect_backoff_max)
            };
            let started = Instant::now();
            let link = tokio::select! {
                link = interline_broker::connect(&config) => link,
                () = self.stop.cancelled() => return Ok(()),
            };
            match link {
                Ok(link) => match self.session(Arc::new(link)).await? {
                    SessionEnd::Stopped => return Ok(()),
                    SessionEnd::Reloaded => {
                        failures = 0;
                        continue;
                    }
                    // A session that held for a while starts the back-off anew.
                    SessionEnd::Lost if started.elapsed() > max => failures = 0,
                    SessionEnd::Lost => {}
                },
                Err(error) => {
                    self.overview.disconnected(error.to_string());
                    warn!(%error, "the broker cannot be reached; webhooks are answered 503 meanwhile")
                }
            }
            failures += 1;
            let wait = interline_relay::backoff(failures, std::process::id().into(), min, max);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stop.cancelled() => {}
                Some(config) = self.reloads.recv() => { self.take_over(config).await?; }
            }
        }
        Ok(())
    }

    /// One broker connection, from the topology check to the loss or the drain.
    async fn session(&mut self, link: Arc<Link>) -> Result<SessionEnd, DaemonError> {
        let session_stop = self.stop.child_token();
        let mut tasks = JoinSet::new();
        let started = self.stages.start(&link, &session_stop, &mut tasks).await;
        self.overview.delivering(self.stages.delivering());
        match started {
            Ok(()) => {
                self.overview.connected();
                info!("the stages run");
            }
            Err(StartError::Store(error)) => return Err(error.into()),
            Err(StartError::Broker(error)) => {
                self.overview.disconnected(error.to_string());
                error!(%error, "the broker is there, but the stages cannot start on it; trying again");
                // Until all stages run no news can come.
                self.stages.disconnected();
                close(link).await;
                return Ok(SessionEnd::Lost);
            }
        }
        let end = loop {
            tokio::select! {
                // Once the daemon stops its tasks end too, and that must not be taken for a loss.
                biased;
                () = self.stop.cancelled() => break SessionEnd::Stopped,
                reason = link.lost() => {
                    self.overview.disconnected(reason.to_string());
                    warn!(%reason, "the broker is gone; what was not acknowledged comes again");
                    break SessionEnd::Lost;
                }
                Some(ended) = tasks.join_next() => {
                    report(ended);
                    break SessionEnd::Lost;
                }
                Some(config) = self.reloads.recv() => {
                    if self.take_over(config).await? {
                        break SessionEnd::Reloaded;
                    }
                }
            }
        };
        session_stop.cancel();
        let deadline = match end {
            SessionEnd::Lost => CLOSE_TIMEOUT,
            SessionEnd::Stopped | SessionEnd::Reloaded => {
                self.stages.context.live.get().config.shutdown.deadline
            }
        };
        let drained =
            tokio::time::timeout(deadline, async { while tasks.join_next().await.is_some() {} })
                .await;
        if drained.is_err() && !matches!(end, SessionEnd::Lost) {
            warn!("the drain took longer than its deadline; what is open comes again");
        }
        tasks.shutdown().await;
        self.stages.disconnected();
        close(link).await;
        Ok(end)
    }

    /// Takes a new config over. True if the session must start anew for it.
    async fn take_over(&self, mut config: Config) -> Result<bool, DaemonError> {
        crate::systemd::reloading();
        let old = self.stages.context.live.get();
        let changes = Config::diff_for_reload(&old.config, &config);
        for section in changes.need_restart() {
            warn!(
                section = section.as_str(),
                "this change needs a restart; the old setting stays in force"
            );
        }
        config.keep_until_restart(&old.config);
        let new = match Live::new(config) {
            Ok(new) => new,
            Err(error) => {
                error!(%error, "the new config is wrong; the old one stays in force");
                crate::systemd::ready();
                return Ok(false);
            }
        };
        restore_bindings(&new, self.stages.context.store.as_ref()).await?;
        self.stages.context.live.replace(new);
        for account in &changes.accounts_changed {
            if let Some(delivering) = self.stages.delivering_of(account) {
                delivering.reset();
            }
        }
        let sections: Vec<_> = changes.sections.iter().map(|section| section.as_str()).collect();
        info!(?sections, "the config was reloaded");
        crate::systemd::ready();
        // The relay reads its settings when it begins to consume.
        let begins_anew = |section: &Section| matches!(section, Section::Accounts | Section::Relay);
        Ok(changes.sections.iter().any(begins_anew))
    }

    fn connect_config(&self) -> Result<ConnectConfig, DaemonError> {
        let live = self.stages.context.live.get();
        connect_config(&live.config, self.embedded.as_ref().map(EmbeddedBroker::uri))
    }
}

fn report(ended: Result<TaskEnd, tokio::task::JoinError>) {
    match ended {
        Ok(TaskEnd::Relay(Ok(())) | TaskEnd::Deliver(_, Ok(()))) => {}
        Ok(TaskEnd::Relay(Err(error))) => {
            warn!(%error, "the relay stage starts anew")
        }
        Ok(TaskEnd::Deliver(account, Err(error))) => {
            warn!(%error, account_ref = %account, "the deliver stage starts anew");
        }
        Err(error) => error!(%error, "a stage's task died; the stages start anew"),
    }
}

async fn close(link: Arc<Link>) {
    if let Ok(link) = Arc::try_unwrap(link) {
        link.close(CLOSE_TIMEOUT).await;
    }
}

async fn retain(store: Arc<dyn Store>, stop: CancellationToken) -> std::io::Result<()> {
    loop {
        if let Err(error) = store.retain(crate::clock::now_ms()).await {
            error!(%error, "old rows cannot be dropped");
        }
        tokio::select! {
            () = tokio::time::sleep(RETAIN_EVERY) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

async fn tell_when_stopping(stop: CancellationToken) -> std::io::Result<()> {
    stop.cancelled().await;
    crate::systemd::stopping();
    Ok(())
}
