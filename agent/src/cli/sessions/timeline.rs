//! A recorded session as lines for people, each with its time.

use crate::{
    protocol::{PROTOCOLS, Side, Transcript},
    record::{
        ApprovalEntry, BeginEntry, DecisionEntry, DenialEntry, EndEntry, ErrorEntry, Kind, LifecycleEntry, MaskEntry,
        ReadError, Recording, SessionHeader,
        printable::{printable, printable_bytes},
        reader::{Entry, Part},
    },
};

/// One line of a timeline.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// Nanoseconds since the session began.
    pub elapsed: u64,
    pub label: &'static str,
    /// Safe to show.
    pub text: String,
}

/// Turns entries into lines.
pub struct Timeline {
    /// `None`: bytes are shown as they are, with what is no text escaped.
    transcript: Option<Box<dyn Transcript>>,
    elapsed: u64,
}

impl Timeline {
    /// A timeline that reads the session's protocol, or shows its bytes if `raw`.
    pub fn new(recording: &Recording, raw: bool) -> Self {
        let protocol = recording.begin().ok().and_then(|begin| begin.header.protocol);
        let known = PROTOCOLS.iter().find(|known| Some(known.name) == protocol.as_deref());
        let transcript = known.filter(|_| !raw).map(|protocol| (protocol.transcript)());
        Self { transcript, elapsed: 0 }
    }

    /// The lines that the next part of a recording gives.
    pub fn lines(&mut self, part: &Part) -> Vec<Line> {
        match part {
            Part::Entry(entry) => {
                self.elapsed = entry.elapsed;
                self.entry(entry)
            }
            Part::Damage => {
                vec![self.line("damage", "something here is damaged; `portcullis sessions verify` says what")]
            }
        }
    }

    fn entry(&mut self, entry: &Entry) -> Vec<Line> {
        let Some(kind) = entry.kind else {
            return vec![self.line("unknown", "an entry of a later version")];
        };
        let described = match kind {
            Kind::FromWorkload => return self.bytes("workload", Side::Downstream, &entry.payload),
            Kind::ToWorkload => return self.bytes("answer", Side::Upstream, &entry.payload),
            Kind::Begin => entry.json().map(|begin: BeginEntry| vec![begun(&begin)]),
            Kind::End => entry.json().map(|end: EndEntry| vec![end.outcome.to_string()]),
            Kind::Lifecycle => entry.json().map(|event: LifecycleEntry| vec![happened(&event)]),
            Kind::Decision => entry.json().map(|decision: DecisionEntry| decided(&decision)),
            Kind::Approval => entry.json().map(|approval: ApprovalEntry| vec![approved(&approval)]),
            Kind::Mask => entry.json().map(|mask: MaskEntry| vec![masked(&mask)]),
            Kind::Denial => entry.json().map(|denial: DenialEntry| denied(&denial)),
            Kind::Error => entry.json().map(|error: ErrorEntry| vec![format!("{}: {}", error.by, error.what)]),
        };
        let texts = described.unwrap_or_else(|error: ReadError| vec![error.to_string()]);
        texts.iter().map(|text| self.line(kind.name(), text)).collect()
    }

    fn bytes(&mut self, label: &'static str, from: Side, bytes: &[u8]) -> Vec<Line> {
        match &mut self.transcript {
            Some(transcript) => {
                let texts = transcript.feed(from, bytes);
                texts.iter().flat_map(|text| text.lines()).map(|text| self.line(label, text)).collect()
            }
            None => {
                let lines = bytes.split_inclusive(|byte| *byte == b'\n');
                lines.map(|line| self.shown(label, printable_bytes(line.strip_suffix(b"\n").unwrap_or(line)))).collect()
            }
        }
    }

    fn line(&self, label: &'static str, text: &str) -> Line {
        self.shown(label, printable(text))
    }

    fn shown(&self, label: &'static str, text: String) -> Line {
        Line { elapsed: self.elapsed, label, text }
    }
}

fn begun(begin: &BeginEntry) -> String {
    let header = &begin.header;
    if header.protocol.as_deref() == Some(SessionHeader::HOST) {
        return format!("the record of the host {}", header.destination);
    }
    let who = header.principal.as_ref().map_or_else(
        || "nobody that is known".into(),
        |principal| match &principal.owner {
            Some(owner) => format!("{} of {owner}", principal.workload),
            None => principal.workload.to_string(),
        },
    );
    let target = header.target.as_deref().unwrap_or("no declared target");
    format!("{who} to {target} at {}", header.destination)
}

fn happened(event: &LifecycleEntry) -> String {
    let facts = event.facts.iter().map(|(name, value)| format!(", {name} {value}"));
    std::iter::once(event.event.to_string()).chain(facts).collect()
}

fn decided(decision: &DecisionEntry) -> Vec<String> {
    let mut text = decision.effect.to_string();
    if decision.stage != "execute" {
        text.push_str(&format!(" to {}", decision.stage));
    }
    if !decision.rules.is_empty() {
        text.push_str(&format!(" by {}", decision.rules.join(", ")));
    }
    for (at, access) in decision.accesses.iter().enumerate() {
        text.push_str(if at == 0 { ": " } else { ", " });
        text.push_str(&format!("{} {}", access.operation, access.resource));
    }
    for (class, method) in &decision.masks {
        text.push_str(&format!("; mask {class}: {}", format!("{method:?}").to_lowercase()));
    }
    if let Some(like) = decision.like {
        text.push_str(&format!(", as in entry {like}"));
    }
    let mut lines = vec![text];
    lines.extend(decision.caveats.iter().map(|caveat| format!("unknown: {caveat}")));
    lines
}

fn approved(approval: &ApprovalEntry) -> String {
    let mut text = format!("{} {}", approval.id, approval.event.name());
    if let Some(by) = &approval.by {
        text.push_str(&format!(" by {by}"));
    }
    if let Some(reason) = &approval.reason {
        text.push_str(&format!(": {reason}"));
    }
    text
}

fn masked(mask: &MaskEntry) -> String {
    let method = format!("{:?}", mask.method).to_lowercase();
    let values = if mask.values == 1 { "value" } else { "values" };
    let mut text = format!("{} {values} of class {}: {method}", mask.values, mask.class);
    if !mask.columns.is_empty() {
        text.push_str(&format!(" in {}", mask.columns.join(", ")));
    }
    text
}

fn denied(denial: &DenialEntry) -> Vec<String> {
    let mut lines = match &denial.rule {
        Some(rule) => vec![format!("{} ({rule})", denial.message)],
        None => vec![denial.message.clone()],
    };
    lines.extend(denial.accesses.iter().map(|access| format!("would: {access}")));
    lines
}
