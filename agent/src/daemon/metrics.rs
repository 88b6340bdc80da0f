//! What a monitoring system reads: OpenMetrics text, made when it is asked for.
//!
//! Names are documented in `docs/metrics.md`, and never change their meaning.

use std::time::SystemTime;

use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::Registry,
};

use super::Daemon;

impl Daemon {
    /// The state of this daemon, as OpenMetrics 1.0 text.
    pub(super) fn metrics(&self) -> anyhow::Result<String> {
        let mut registry = Registry::with_prefix("portcullis");
        self.measure_work(&mut registry);
        self.measure_record(&mut registry);
        self.measure_capture(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }

    fn measure_work(&self, registry: &mut Registry) {
        let policy = self.gatehouse.policy.state();
        gauge(registry, "sessions_live", "Sessions that run now", self.gatehouse.live.count());
        gauge(registry, "workloads", "Enrolled workloads", self.gatehouse.workloads.list().len());
        gauge(registry, "approvals_pending", "Requests that wait for a person", self.gatehouse.desk.list().len());
        gauge(registry, "policy_generation", "The policy in force", policy.generation);
        gauge(registry, "policy_broken", "Whether newer policy files are broken", policy.broken.is_some());
    }

    fn measure_record(&self, registry: &mut Registry) {
        let recorder = &self.gatehouse.recorder;
        let (waiting, capacity) = recorder.journal_level();
        gauge(registry, "record_broken", "Whether nothing can be recorded", recorder.broken().is_some());
        gauge(registry, "record_journal_bytes", "Bytes that wait in the journal", waiting);
        gauge(registry, "record_journal_capacity_bytes", "Bytes that the journal holds", capacity);
        let missed = ConstCounter::new(self.audit.missed_ever());
        registry.register("audit_missed", "Events that are missing in the host's record", missed);
    }

    fn measure_capture(&self, registry: &mut Registry) {
        let (proofs, closures) = (self.prover.proofs(), self.gatehouse.closures.list());
        let trees = self.gatehouse.capture.captured();
        let closed = trees.iter().map(|tree| (tree.to_string(), closures.contains_key(tree)));
        gauges(registry, "closed", "Whether nothing of the tree passes, as its capture is not proven", closed);
        let age = |proven: SystemTime| proven.elapsed().unwrap_or_default().as_secs();
        let ages = proofs.iter().filter_map(|(tree, proof)| Some((tree.to_string(), age(proof.proven?))));
        gauges(registry, "canary_age_seconds", "Time since a canary was captured", ages);
        let held = proofs.iter().map(|(tree, proof)| (tree.to_string(), proof.held));
        counters(registry, "canaries_held", "Canaries that were captured", "tree", held);
        let failed = proofs.iter().map(|(tree, proof)| (tree.to_string(), proof.failed));
        counters(registry, "canaries_failed", "Canaries that got out, or showed nothing", "tree", failed);

        let refusals = self.gatehouse.capture.refusals().unwrap_or_default();
        let refusals = refusals.into_iter().map(|(kind, count)| (kind.to_owned(), count));
        counters(registry, "refusals", "Refusals by the kernel's programs", "refusal", refusals);
        let lost = ConstCounter::new(self.attempts.lost().unwrap_or_default());
        registry.register("attempts_lost", "Refused attempts that nobody was told of one by one", lost);
        let bursts = self.attempts.counts().into_iter().map(|(kind, count)| (kind.to_owned(), count));
        counters(registry, "attempts", "Bursts of refused attempts", "refusal", bursts);
    }
}

/// A number that goes up and down; one that exceeds what a gauge holds is its most.
fn gauge(registry: &mut Registry, name: &str, help: &str, value: impl TryInto<i64>) {
    registry.register(name, help, ConstGauge::new(value.try_into().unwrap_or(i64::MAX)));
}

/// The same for each captured tree.
fn gauges(registry: &mut Registry, name: &str, help: &str, values: impl Iterator<Item = (String, impl TryInto<i64>)>) {
    let family = Family::<[(&str, String); 1], Gauge>::default();
    for (tree, value) in values {
        family.get_or_create(&[("tree", tree)]).set(value.try_into().unwrap_or(i64::MAX));
    }
    registry.register(name, help, family);
}

/// Numbers that only grow, while the daemon or the guard lives.
fn counters(
    registry: &mut Registry,
    name: &str,
    help: &str,
    label: &'static str,
    values: impl Iterator<Item = (String, u64)>,
) {
    let family = Family::<[(&str, String); 1], Counter>::default();
    for (value_of, value) in values {
        family.get_or_create(&[(label, value_of)]).inc_by(value);
    }
    registry.register(name, help, family);
}
