//! Who may talk to whom.

use crate::{
    golden::{edges, reviewed},
    objects::Objects,
    system::System,
};

/// The whole list is reviewed: `dev/golden/network-*.txt`.
pub(super) fn nothing_may_talk_but_for_what_is_reviewed(
    objects: &Objects,
    _: &System,
) -> Vec<String> {
    let now = edges(objects);
    let reviewed = reviewed(&objects.overlay);
    let new = now.difference(&reviewed).map(|edge| format!("not reviewed: {edge}"));
    new.chain(reviewed.difference(&now).map(|edge| format!("gone: {edge}"))).collect()
}
