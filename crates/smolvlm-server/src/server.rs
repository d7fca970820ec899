//! Listening, serving and stopping.

use crate::config::ServerConfig;
use crate::connections;
use crate::error::Error;
use crate::router::router;
use crate::state::{App, Model, Shared};
use smolvlm::SmolVlm;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Time to end cancelled requests.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);

/// A server that listens. Requests are answered with 503 until its model is loaded.
pub struct Server {
    pub(crate) app: Shared,
    listener: TcpListener,
    address: SocketAddr,
    stop: Stop,
}

/// Stops a server as SIGTERM does: new requests are rejected, running ones are finished.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// Stops the server.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Server {
    /// Listens on the configured address.
    ///
    /// # Errors
    ///
    /// [`Error::Bind`], and [`Error::Config`] for a value that is out of range.
    pub fn bind(config: ServerConfig) -> Result<Self, Error> {
        config.validate()?;
        let bind = |source| Error::Bind { address: config.address, source };
        let listener = TcpListener::bind(config.address).map_err(bind)?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        Ok(Self { app: Arc::new(App::new(config)), listener, address, stop: Stop(watch::Sender::new(false)) })
    }

    /// The address, with the port that was chosen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle that stops the server from another thread.
    pub fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// Loads the model and serves until SIGTERM, Ctrl-C or [`Stop::stop`], and until running requests are finished.
    /// The model should be loaded with the options of [`ServerConfig::model_options`].
    ///
    /// # Errors
    ///
    /// Those of `load`, [`Error::Io`].
    pub fn run<E>(self, load: impl FnOnce() -> Result<SmolVlm, E> + Send + 'static) -> Result<(), E>
    where
        E: From<Error> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(Error::from)?;
        let outcome = runtime.block_on(self.serve(load));
        // Workers that ignore cancellation must not keep the process.
        runtime.shutdown_background();
        outcome
    }

    async fn serve<E>(self, load: impl FnOnce() -> Result<SmolVlm, E> + Send + 'static) -> Result<(), E>
    where
        E: From<Error> + Send + 'static,
    {
        let Self { app, listener, stop, .. } = self;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(Error::from)?;
        let signals = Signals::install().map_err(Error::from)?;
        let stopper = stop.clone();
        let signals = tokio::spawn(async move {
            signals.wait().await;
            stopper.stop();
        });
        let (draining, mut stopped) = (Arc::clone(&app), stop.0.subscribe());
        let shutdown = async move {
            let _ = stopped.wait_for(|&stop| stop).await;
            draining.drain();
        };
        let serving = tokio::spawn(connections::serve(listener, router(Arc::clone(&app)), Arc::clone(&app), shutdown));
        let loading = tokio::task::spawn_blocking(load);
        let (mut loaded_stop, mut stopped) = (stop.0.subscribe(), stop.0.subscribe());
        let outcome = tokio::select! {
            loaded = loading => match loaded {
                Ok(Ok(model)) => {
                    app.set_model(Model::new(model));
                    app.config.log.line("ready");
                    let _ = loaded_stop.wait_for(|&stop| stop).await;
                    Ok(())
                }
                Ok(Err(error)) => Err(error),
                Err(error) => Err(Error::from(std::io::Error::other(error)).into()),
            },
            _ = stopped.wait_for(|&stop| stop) => Ok(()),
        };
        stop.stop();
        drain(&app, serving).await?;
        signals.abort();
        outcome
    }
}

/// Waits for running requests, then cancels them.
async fn drain(app: &Shared, mut serving: tokio::task::JoinHandle<()>) -> Result<(), Error> {
    for (timeout, aborts) in [(app.config.drain_timeout, false), (ABORT_TIMEOUT, true)] {
        if aborts {
            app.abort.send_replace(true);
        }
        if let Ok(served) = tokio::time::timeout(timeout, &mut serving).await {
            return Ok(served.map_err(std::io::Error::other)?);
        }
    }
    serving.abort();
    Ok(())
}

/// The signals that stop a server.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn install() -> std::io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?,
        })
    }

    #[cfg(unix)]
    async fn wait(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }

    #[cfg(not(unix))]
    async fn wait(self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
