//! What the database holds, read by the daemon's own survey; and what relations bring with them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use portcullis::{
    credential::Credential,
    protocol::postgres::{self, Seen},
    sql::{Catalogue, Classifier},
    target::{Target, Verify},
};
use tokio::{net::UnixStream, runtime::Runtime};
use tokio_postgres::{Client, NoTls};

use crate::claim::Links;

/// The newest view of one database; made anew when it may have changed.
pub struct Surveyor {
    socket: PathBuf,
    database: String,
    runtime: Runtime,
    /// A session of its own, for what the daemon's survey does not ask.
    client: Option<Client>,
    newest: Option<Arc<View>>,
}

/// A database as it was at one moment.
pub struct View {
    pub classifier: Arc<Classifier>,
    pub links: Links,
}

impl Surveyor {
    pub fn new(socket: PathBuf, database: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { socket, database: database.to_owned(), runtime, client: None, newest: None })
    }

    /// What was known no longer holds.
    pub fn forget(&mut self) {
        self.newest = None;
    }

    pub fn view(&mut self) -> Result<Arc<View>> {
        if let Some(view) = &self.newest {
            return Ok(view.clone());
        }
        let client = match self.client.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self.runtime.block_on(connect(&self.socket, &self.database))?,
        };
        let links = self.runtime.block_on(links(&client))?;
        self.client = Some(client);
        let catalogue = self.runtime.block_on(survey(&self.socket, &self.database))?;
        let view = Arc::new(View { classifier: Arc::new(Classifier::new(catalogue)), links });
        self.newest = Some(view.clone());
        Ok(view)
    }
}

async fn survey(socket: &Path, database: &str) -> Result<Catalogue> {
    let credential = Credential::new("regression", "postgres");
    let target = Target {
        name: "regression".into(),
        protocol: "postgres".into(),
        addresses: Vec::new(),
        upstream: None,
        tls: Verify::Off,
        credential: None,
        labels: Default::default(),
        classes: Default::default(),
        paths: Default::default(),
    };
    let stream = UnixStream::connect(socket).await.context("connecting for a survey")?;
    postgres::survey(stream, &credential, database, &target, &mut Seen::default()).await.context("surveying")
}

async fn connect(socket: &Path, database: &str) -> Result<Client> {
    let mut config = tokio_postgres::Config::new();
    config.user("postgres").dbname(database).options("-c debug_print_parse=off");
    let (client, connection) = config.connect_raw(UnixStream::connect(socket).await?, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn links(client: &Client) -> Result<Links> {
    let rows = client.query(Links::QUERY, &[]).await.context("reading what relations bring with them")?;
    let pairs = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<Vec<_>>>()?;
    let triggered = client.query(Links::TRIGGERS, &[]).await?;
    let triggered = triggered.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    Ok(Links::new(pairs, triggered))
}
