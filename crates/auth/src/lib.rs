//! Authentication: who calls. What a caller may do is decided elsewhere.
//!
//! | module | what |
//! |---|---|
//! | [`tokens`] | signed bearer tokens (JWT, HS256): for a user, and from one service to another |
//! | [`extract`] | axum extractors `User`, `CallerService`, `Caller`: a handler's signature says who may call |
//! | [`password`] | argon2id, off the async threads, a bounded number at once |
//! | [`opaque`] | random single-purpose tokens, stored as hashes |
//!
//! ```
//! use auth::{AuthSettings, Tokens};
//! use chassis::Clock;
//! use std::time::Duration;
//!
//! let settings = AuthSettings {
//!     jwt_secret: "0123456789abcdef0123456789abcdef".to_owned().try_into().unwrap(),
//!     jwt_expiration: Duration::from_secs(3600),
//!     service_token_expiration: Duration::from_secs(86400),
//! };
//! let payment = Tokens::new(&settings, "payment-service", Clock::system());
//! let user = Tokens::new(&settings, "user-service", Clock::system());
//! let token = payment.for_service("user-service").unwrap();
//! assert_eq!(user.verify_service(token.value.expose()).unwrap().name, "payment-service");
//! ```

pub mod extract;
pub mod opaque;
pub mod password;
mod settings;
pub mod tokens;

pub use extract::{Caller, CallerService, User};
pub use settings::{AuthSettings, JwtSecret};
pub use tokens::{Role, Token, TokenError, Tokens};
