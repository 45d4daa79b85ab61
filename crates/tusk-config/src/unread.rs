//! A key that a type knows and leaves alone.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The name under which [`Unread`] tells our deserialiser not to evaluate anything.
pub(crate) const UNREAD_NAME: &str = "$tusk::Unread";

/// The words by which it is recognised behind serde's buffer.
pub(crate) const UNREAD: &str = "a key that is not read here";

/// Stands for a key that belongs to somebody else, so that it is neither evaluated nor unknown.
///
/// Where all services' tokens stand in one section, each service reads its own only. It names the others so:
///
/// ```
/// use std::collections::BTreeMap;
/// use tusk_config::{Loader, Secret, Unread, Vars};
///
/// #[derive(serde::Deserialize)]
/// struct Settings { services: Tokens }
/// #[derive(serde::Deserialize)]
/// struct Tokens {
///     payment_service_token: Secret,
///     #[serde(flatten)]
///     of_others: BTreeMap<String, Unread>,
/// }
///
/// let text = r#"
/// [services]
/// user_service_token: @env.secure("USER_SERVICE_TOKEN")
/// payment_service_token: @env.secure("PAYMENT_SERVICE_TOKEN")
/// "#;
/// let vars = Vars::of([("PAYMENT_SERVICE_TOKEN", "p")]);
/// let settings: Settings = Loader::new("config").text("auth.tsk", text).vars(vars).load()?;
/// assert_eq!(settings.services.payment_service_token.expose(), "p");
/// # Ok::<(), tusk_config::Errors>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unread;

impl<'de> Deserialize<'de> for Unread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(UNREAD_NAME, Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Unread;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(UNREAD)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<Unread, D::Error> {
        d.deserialize_any(self)
    }

    fn visit_unit<E>(self) -> Result<Unread, E> {
        Ok(Unread)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unread, A::Error> {
        while map.next_entry::<IgnoredAny, Unread>()?.is_some() {}
        Ok(Unread)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unread, A::Error> {
        while items.next_element::<Unread>()?.is_some() {}
        Ok(Unread)
    }
}
