use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::CertificateParams;

/// How far back certificates begin, for clocks that are behind.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// Makes a certificate valid for this long from now on.
pub(super) fn from_now(parameters: &mut CertificateParams, lifetime: Duration) {
    let now = SystemTime::now();
    parameters.not_before = date(now - CLOCK_SKEW);
    parameters.not_after = date(now + lifetime);
}

/// A time as certificates have it: to the second.
fn date<D: From<SystemTime>>(time: SystemTime) -> D {
    let whole = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    D::from(UNIX_EPOCH + Duration::from_secs(whole))
}
