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

use parking_lot::Mutex;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    protocol::{
        driver::{Signal, Survey, Surveyed},
        postgres::{self, Seen},
    },
    sql::{Catalogue, Classifier},
    target::{OriginalDestination, Verify},
    tls,
    upstream::Dialler,
};

/// How old a catalogue may be when a session begins, and how often it is read while in use.
pub const AGE_MAX: Duration = Duration::from_secs(20);
/// For one survey, from dialling to the last row.
pub const SURVEY_TIMEOUT: Duration = Duration::from_secs(20);

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
    /// What each database's columns were classified as, kept while nobody uses it too.
    seen: Mutex<HashMap<Place, Arc<tokio::sync::Mutex<Seen>>>>,
}

/// One database's newest catalogue and who wants to hear of a newer one.
#[derive(Debug)]
struct Site {
    dialler: Arc<Dialler>,
    database: String,
    /// Held while a survey runs, so that many askers cause one survey.
    newest: tokio::sync::Mutex<Option<Taken>>,
    listeners: Mutex<Vec<mpsc::UnboundedSender<Signal>>>,
    seen: Arc<tokio::sync::Mutex<Seen>>,
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
            seen: self.seen.lock().entry(place.clone()).or_default().clone(),
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
    /// The catalogue, read from the server unless one at most `age` old is known.
    async fn survey(&self, age: Duration) -> Surveyed {
        let asked = Instant::now();
        let mut newest = self.newest.lock().await;
        if let Some(taken) = newest.as_ref()
            && taken.at + age > asked
        {
            return Ok(taken.classifier.clone());
        }
        let at = Instant::now();
        let catalogue = tokio::time::timeout(SURVEY_TIMEOUT, self.read())
            .await
            .map_err(|_| format!("no answer within {} s", SURVEY_TIMEOUT.as_secs()))??;
        if let Some(taken) = newest.as_mut()
            && *taken.classifier.catalogue() == catalogue
        {
            taken.at = at;
            return Ok(taken.classifier.clone());
        }
        let classifier = Arc::new(Classifier::new(catalogue));
        let replaced = newest.replace(Taken { at, classifier: classifier.clone() });
        drop(newest);
        if replaced.is_some() {
            self.tell(&classifier);
        }
        Ok(classifier)
    }

    async fn read(&self) -> Result<Catalogue, String> {
        let dialler = &self.dialler;
        let credential = dialler.credential.as_ref().ok_or("the target has no credential")?;
        let mut stream: tls::Stream = dialler.dial().await.map_err(|error| error.to_string())?.into();
        if dialler.target.tls != Verify::Off {
            postgres::request_tls(&mut stream).await.map_err(|error| error.to_string())?;
            (stream, _) = dialler.secure(stream).await.map_err(|error| error.to_string())?;
        }
        let mut seen = self.seen.lock().await;
        let surveyed = postgres::survey(stream, credential, &self.database, &dialler.target, &mut seen).await;
        surveyed.map_err(|error| error.to_string())
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
