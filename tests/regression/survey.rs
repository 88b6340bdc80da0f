//! What the database holds, read by the daemon's own survey; and what relations bring with them.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use portcullis::{
    credential::Credential,
    protocol::postgres,
    sql::Classifier,
    target::{Target, Verify},
};
use tokio::{net::UnixStream, runtime::Runtime};
use tokio_postgres::NoTls;

use crate::claim::Links;

/// The newest view of one database; made anew when it may have changed.
pub struct Surveyor {
    socket: PathBuf,
    database: String,
    runtime: Runtime,
    newest: Option<Arc<View>>,
}

/// A database as it was at one moment.
pub struct View {
    pub classifier: Classifier,
    pub catalogue: Arc<portcullis::sql::Catalogue>,
    pub links: Links,
}

impl Surveyor {
    pub fn new(socket: PathBuf, database: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { socket, database: database.to_owned(), runtime, newest: None })
    }

    /// What was known no longer holds.
    pub fn forget(&mut self) {
        self.newest = None;
    }

    pub fn view(&mut self) -> Result<Arc<View>> {
        if let Some(view) = &self.newest {
            return Ok(view.clone());
        }
        let view = Arc::new(self.runtime.block_on(look(&self.socket, &self.database))?);
        self.newest = Some(view.clone());
        Ok(view)
    }
}

async fn look(socket: &PathBuf, database: &str) -> Result<View> {
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
    };
    let stream = UnixStream::connect(socket).await.context("connecting for a survey")?;
    let catalogue = postgres::survey(stream, &credential, database, &target).await.context("surveying")?;

    let mut config = tokio_postgres::Config::new();
    config.user("postgres").dbname(database);
    let (client, connection) = config.connect_raw(UnixStream::connect(socket).await?, NoTls).await?;
    let connection = tokio::spawn(connection);
    let rows = client.query(Links::QUERY, &[]).await.context("reading what relations bring with them")?;
    drop(client);
    let _ = connection.await;
    let pairs = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<Vec<_>>>()?;
    Ok(View {
        classifier: Classifier::new(catalogue.clone()),
        catalogue: Arc::new(catalogue),
        links: Links::new(pairs),
    })
}
