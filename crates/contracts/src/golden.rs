//! Every event against its golden bytes, both ways.

use std::fmt::Debug;
use std::fs;
use std::path::Path;

use uuid::Uuid;

use crate::{Envelope, Event, EventId, UserId};

/// The user in golden messages.
pub(crate) const USER: UserId = UserId::from_uuid(id(1));

/// The event encodes to its golden bytes, the golden bytes decode to it, and what a later
/// publisher adds is skipped.
pub(crate) fn holds<E: Event + PartialEq + Debug + Clone>(service: &str, event: E) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let file = folder.join(format!("{}.v{}.json", E::TYPE, E::VERSION));
    let golden = fs::read_to_string(&file).unwrap();
    let golden = golden.strip_suffix('\n').expect("a golden file ends with one newline");
    let at = "2026-01-15T09:30:00.123456Z".parse().unwrap();
    let envelope = Envelope::new(EventId::from_uuid(id(0xe1)), at, service, event);

    assert_eq!(serde_json::to_string(&envelope).unwrap(), golden);
    assert_eq!(serde_json::from_str::<Envelope<E>>(golden).unwrap(), envelope);

    let newer = golden
        .replacen("\"data\":{", "\"data\":{\"added_later\":{\"deep\":[1]},", 1)
        .replacen('{', "{\"tenant\":\"added later\",", 1);
    assert_eq!(serde_json::from_str::<Envelope<E>>(&newer).unwrap(), envelope);
}

/// An id that tells itself from others by its last digits.
pub(crate) const fn id(last: u128) -> Uuid {
    Uuid::from_u128(0x0197_c1f0_5c00_7000_8000_0000_0000_0000 + last)
}
