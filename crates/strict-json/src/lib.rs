//! What callers send as JSON, read to the letter: structs from objects and from nothing else, whole
//! numbers however they are written, and all faults at once.
//!
//! What serde derives for a struct also reads a sequence, field by field in the order of the code:
//! `[500,"EUR"]` is then as good as `{"amount":500,"currency":"EUR"}`, and `[]` as `{}` where every
//! field is optional. So the order of fields becomes a part of the interface, and a request that
//! nobody documented charges a card. [`Strict`] refuses sequences in the place of structs, at every
//! depth; `deny_unknown_fields` does not. [`from_slice`] does the same for a whole text, and more:
//!
//! ```
//! use strict_json::{Strict, Unreadable};
//!
//! #[derive(Debug, serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Order {
//!     amount: i64,
//!     currency: String,
//! }
//!
//! assert!(serde_json::from_str::<Order>(r#"[500, "EUR"]"#).is_ok());
//! assert!(serde_json::from_str::<Strict<Order>>(r#"[500, "EUR"]"#).is_err());
//!
//! let order: Order = strict_json::from_slice(br#"{"amount": 5.0e2, "currency": "EUR"}"#)?;
//! assert_eq!(order.amount, 500);
//!
//! let order = strict_json::from_slice::<Order>(br#"{"amount": "5", "colour": "red"}"#);
//! let Err(Unreadable::Fields(faults)) = order else { panic!("{order:?}") };
//! let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
//! assert_eq!(pointers, ["/amount", "/colour", "/currency"]);
//! # Ok::<(), Unreadable>(())
//! ```
//!
//! Not seen is what serde buffers before it decides: the variants of an `untagged` or internally
//! tagged enum.

mod faults;
mod read;
mod strict;
mod whole;
mod words;

pub use faults::FieldFault;
pub use read::{Unreadable, from_slice};
pub use strict::Strict;
pub use words::without_values;
