//! What the targets' databases hold, read on side connections and shared by the sessions.
//!
//! A catalogue is never older than [`AGE_MAX`] when a session begins with it, is read anew when a session
//! meets what it does not know, and every [`AGE_MAX`] while sessions use it.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::Instant,
};

use crate::{
    credential::Credential,
    protocol::{
        driver::{Signal, Survey, Surveyed},
        postgres::{self, Seen},
    },
    request::{Estimate, Request},
    sql::{Catalogue, Changes, Classifier, Definitions},
    target::{OriginalDestination, Verify},
    tls,
    upstream::Dialler,
};

/// How old a catalogue may be when a session begins, and how often it is read while in use.
pub const AGE_MAX: Duration = Duration::from_secs(20);
/// For one survey, from dialling to the last row.
pub const SURVEY_TIMEOUT: Duration = Duration::from_secs(20);
/// For an estimate, from dialling where that is needed to the plan.
pub const ESTIMATE_TIMEOUT: Duration = Duration::from_secs(5);
/// For a cancel request to reach the server.
pub const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

/// One database of one server.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Place {
    target: Arc<str>,
    dialled: OriginalDestination,
    database: String,
}

/// Every surveyed database.
#[derive(Debug, Default)]
pub struct Surveys {
    sites: Mutex<HashMap<Place, Arc<Site>>>,
    /// What each database's columns were classified as. Kept while nobody uses it too: a workload that may rename or
    /// comment could otherwise wait for that.
    seen: Mutex<HashMap<Place, Arc<tokio::sync::Mutex<Seen>>>>,
    /// What is being changed in each database. Kept for the same reason.
    changes: Mutex<HashMap<Place, Arc<Changes>>>,
}

/// One database's newest catalogue and who wants to hear of a newer one.
#[derive(Debug)]
struct Site {
    dialler: Arc<Dialler>,
    database: String,
    /// Held while a survey runs, so that many askers cause one survey.
    newest: tokio::sync::Mutex<Newest>,
    listeners: Mutex<Vec<mpsc::UnboundedSender<Signal>>>,
    /// One connection for all estimates, while it works.
    planner: tokio::sync::Mutex<Option<postgres::Planner>>,
    seen: Arc<tokio::sync::Mutex<Seen>>,
    changes: Arc<Changes>,
}

/// How the last survey went.
#[derive(Debug, Default)]
struct Newest {
    taken: Option<Taken>,
    /// When it began, and why it failed.
    failed: Option<(Instant, String)>,
}

#[derive(Debug)]
struct Taken {
    at: Instant,
    classifier: Arc<Classifier>,
}

/// One session's way to its database's catalogue.
pub struct SessionSurvey {
    pub surveys: Arc<Surveys>,
    pub dialler: Arc<Dialler>,
    pub signals: mpsc::UnboundedSender<Signal>,
}

impl Survey for SessionSurvey {
    fn survey(&self, database: String, fresh: bool) -> Pin<Box<dyn Future<Output = Surveyed> + Send + '_>> {
        Box::pin(async move {
            let site = self.surveys.site(self, database);
            if !fresh {
                site.listeners.lock().push(self.signals.clone());
            }
            site.survey(if fresh { Duration::ZERO } else { AGE_MAX }).await
        })
    }

    fn estimate(&self, request: &Request) -> Pin<Box<dyn Future<Output = Option<Estimate>> + Send + '_>> {
        let request = request.clone();
        Box::pin(async move {
            let database = request.standing.estimable.as_ref()?.database.to_string();
            let site = self.surveys.site(self, database);
            match tokio::time::timeout(ESTIMATE_TIMEOUT, site.estimate(&request)).await {
                Ok(Ok(estimate)) => Some(estimate),
                Ok(Err(error)) => {
                    tracing::info!(target_name = %self.dialler.target.name, %error, "no estimate of a statement");
                    None
                }
                Err(_) => {
                    let seconds = ESTIMATE_TIMEOUT.as_secs();
                    tracing::warn!(target_name = %self.dialler.target.name, seconds, "no estimate of a statement in time");
                    None
                }
            }
        })
    }

    fn cancel(&self, message: Bytes) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let outcome = tokio::time::timeout(CANCEL_TIMEOUT, deliver(&self.dialler, &message)).await;
            let error = match outcome {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                Err(_) => format!("no answer within {} s", CANCEL_TIMEOUT.as_secs()),
            };
            tracing::warn!(target_name = %self.dialler.target.name, error, "a statement could not be stopped at the server");
        })
    }
}

impl Surveys {
    fn site(self: &Arc<Self>, session: &SessionSurvey, database: String) -> Arc<Site> {
        let place = Place {
            target: session.dialler.target.name.clone(),
            dialled: session.dialler.destination.clone(),
            database: database.clone(),
        };
        let mut sites = self.sites.lock();
        if let Some(site) = sites.get(&place) {
            return site.clone();
        }
        let site = Arc::new(Site {
            dialler: session.dialler.clone(),
            database,
            newest: tokio::sync::Mutex::default(),
            listeners: Mutex::default(),
            planner: tokio::sync::Mutex::default(),
            seen: self.seen.lock().entry(place.clone()).or_default().clone(),
            changes: self.changes.lock().entry(place.clone()).or_default().clone(),
        });
        sites.insert(place.clone(), site.clone());
        tokio::spawn(keep_fresh(Arc::downgrade(self), place, Arc::downgrade(&site)));
        site
    }

    fn forget(&self, place: &Place) {
        self.sites.lock().remove(place);
    }
}

/// Reads a catalogue again while sessions use it, and forgets it when none do.
async fn keep_fresh(surveys: Weak<Surveys>, place: Place, site: Weak<Site>) {
    loop {
        tokio::time::sleep(AGE_MAX).await;
        let (Some(surveys), Some(site)) = (surveys.upgrade(), site.upgrade()) else { return };
        if site.is_unused() {
            surveys.forget(&place);
            return;
        }
        if let Err(error) = site.survey(Duration::ZERO).await {
            tracing::warn!(target_name = %place.target, database = %place.database, %error, "cannot read the catalogue again");
        }
    }
}

impl Site {
    /// The catalogue, read from the server unless one at most `age` old is known that no session has changed since.
    async fn survey(&self, age: Duration) -> Surveyed {
        let asked = Instant::now();
        let mut newest = self.newest.lock().await;
        if let Some(taken) = &newest.taken
            && taken.at + age > asked
            && taken.classifier.definitions().are_newest()
        {
            return Ok(taken.classifier.clone());
        }
        // Whoever asked while it was tried need not wait for another try.
        if let Some((at, reason)) = &newest.failed
            && *at > asked
        {
            return Err(reason.clone());
        }
        let (at, as_of) = (Instant::now(), self.changes.made());
        let read = tokio::time::timeout(SURVEY_TIMEOUT, self.read()).await;
        let read = read.unwrap_or_else(|_| Err(format!("no answer within {} s", SURVEY_TIMEOUT.as_secs())));
        newest.failed = read.as_ref().err().map(|reason| (at, reason.clone()));
        let catalogue = read?;
        if let Some(taken) = newest.taken.as_mut()
            && *taken.classifier.catalogue() == catalogue
        {
            taken.at = at;
            taken.classifier.definitions().renew(as_of);
            return Ok(taken.classifier.clone());
        }
        let definitions = Definitions::new(self.changes.clone(), as_of);
        let classifier = Arc::new(Classifier::surveyed(catalogue, definitions));
        let replaced = newest.taken.replace(Taken { at, classifier: classifier.clone() });
        drop(newest);
        if replaced.is_some() {
            self.tell(&classifier);
        }
        Ok(classifier)
    }

    async fn read(&self) -> Result<Catalogue, String> {
        let dialler = &self.dialler;
        let (stream, credential) = (dial(dialler).await?, self.credential()?);
        let mut seen = self.seen.lock().await;
        let surveyed = postgres::survey(stream, credential, &self.database, &dialler.target, &mut seen).await;
        surveyed.map_err(|error| error.to_string())
    }

    /// Plans one statement. A connection that failed, or whose answer nobody awaited, is not used again.
    async fn estimate(&self, request: &Request) -> Result<Estimate, String> {
        let mut kept = self.planner.lock().await;
        let planner = match kept.take() {
            Some(planner) => planner,
            None => self.planner().await?,
        };
        let estimate = planner.estimate(request).await.map_err(|error| error.to_string());
        if estimate.is_ok() || !planner.is_closed() {
            *kept = Some(planner);
        }
        estimate
    }

    async fn planner(&self) -> Result<postgres::Planner, String> {
        let (stream, credential) = (dial(&self.dialler).await?, self.credential()?);
        let connected = postgres::Planner::connect(stream, credential, &self.database).await;
        let (planner, drive) = connected.map_err(|error| error.to_string())?;
        // Ends with the planner.
        tokio::spawn(drive);
        planner.restrict().await.map_err(|error| error.to_string())?;
        Ok(planner)
    }

    fn credential(&self) -> Result<&Credential, String> {
        self.dialler.credential.as_deref().ok_or_else(|| "the target has no credential".to_owned())
    }

    fn tell(&self, classifier: &Arc<Classifier>) {
        let mut listeners = self.listeners.lock();
        listeners.retain(|listener| listener.send(Signal::Catalogue(classifier.clone())).is_ok());
    }

    fn is_unused(&self) -> bool {
        let mut listeners = self.listeners.lock();
        listeners.retain(|listener| !listener.is_closed());
        listeners.is_empty()
    }
}

/// A connection to the server, secured where the target asks for it.
pub async fn dial(dialler: &Dialler) -> Result<tls::Stream, String> {
    let mut stream: tls::Stream = dialler.dial().await.map_err(|error| error.to_string())?.into();
    if dialler.target.tls != Verify::Off {
        postgres::request_tls(&mut stream).await.map_err(|error| error.to_string())?;
        (stream, _) = dialler.secure(stream, None).await.map_err(|error| error.to_string())?;
    }
    Ok(stream)
}

/// Sends `message` and waits for the server to close: until then it may not have acted on it.
async fn deliver(dialler: &Dialler, message: &[u8]) -> Result<(), String> {
    let mut stream = dial(dialler).await?;
    stream.write_all(message).await.map_err(|error| error.to_string())?;
    stream.flush().await.map_err(|error| error.to_string())?;
    // However it closes: an abrupt end is one, too.
    let _ = stream.read_u8().await;
    Ok(())
}
