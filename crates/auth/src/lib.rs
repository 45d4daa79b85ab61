//! Authentication and authorization: who calls, and whether it may.
//!
//! ```text
//! request ─▶ policy ── bearer token ─▶ tokens ── kid ─▶ key ring ◀── folder, or JWKS
//!                │  401, 403               ▼ caller, scopes
//!                └──▶ handler(User | CallerService | Caller)
//!
//! call    ─▶ service tokens ── kept, renewed ─▶ token issuer: signs, or asks POST /oauth/token
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`tokens`] | signed bearer tokens (JWT): for a user, and from one service to another |
//! | [`keys`] | what they are signed with: HS256, EdDSA, RS256; rotation without a restart |
//! | [`policy`] | who may call which route, from `auth.tsk`, denied by default |
//! | [`scope`] | which of its caller's rights a token carries |
//! | [`service_tokens`] | the tokens for calls to others, kept and renewed |
//! | [`EndedSessions`] | sessions whose tokens are refused although their time is not up |
//! | [`credentials`] | how a service proves itself when it asks for a token |
//! | [`extract`] | axum extractors `User`, `CallerService`, `Caller` |
//! | [`password`] | argon2id, off the async threads, a bounded number at once |
//! | [`opaque`] | random single-purpose tokens, stored as hashes |
//! | [`totp`] | codes of authenticator apps |
//! | [`recovery`] | codes for when the app is lost, stored as hashes |
//! | [`SealingKeys`] | secrets that have to be read again, encrypted in the database |
//! | [`MailTokens`] | single-purpose tokens that go out by mail, and in no event |
//!
//! ```
//! use auth::{AuthSettings, Caller, KeyRing, KeySettings, Tokens};
//! use chassis::Clock;
//! # use tusk_config::{Loader, Vars};
//! # #[derive(serde::Deserialize)]
//! # struct Settings { auth: AuthSettings, keys: KeySettings }
//! # let text = r#"
//! # [auth]
//! # jwt_secret: @env.secure("JWT_SECRET")
//! # jwt_expiration: "3600"
//! # service_token_expiration: "3600"
//! # [keys]
//! # algorithm: "HS256"
//! # secret: @auth.jwt_secret
//! # folder: ""
//! # refresh_interval: "30s"
//! # activation_delay: "5m"
//! # "#;
//! # let vars = Vars::of([("JWT_SECRET", "0123456789abcdef0123456789abcdef")]);
//! # let loader = Loader::new("config").text("auth.tsk", text).vars(vars);
//! let settings: Settings = loader.load()?;
//! let keys = KeyRing::open(&settings.keys, Clock::system())?;
//! let tokens = |service| Tokens::new(&settings.auth, keys.clone(), service, Clock::system());
//!
//! let token = tokens("payment-service").for_service("user-service")?;
//! let Caller::Service(caller) = tokens("user-service").verify(token.value.expose())? else {
//!     panic!("a user")
//! };
//! assert_eq!(caller.name, "payment-service");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod claims;
pub mod credentials;
mod ended;
pub mod extract;
pub mod keys;
mod mail_tokens;
pub mod opaque;
pub mod password;
pub mod policy;
pub mod recovery;
pub mod scope;
mod sealing;
pub mod service_tokens;
mod settings;
pub mod tokens;
pub mod totp;

pub use credentials::Credentials;
pub use ended::EndedSessions;
pub use extract::{Caller, CallerService, TokenScopes, User};
pub use keys::{KeyRing, KeySource};
pub use mail_tokens::MailTokens;
pub use policy::PolicySettings;
pub use scope::{Access, Scope, ScopeError, Scopes};
pub use sealing::{SealError, Sealed, SealingKeys, SealingSecrets};
pub use service_tokens::{IssueError, ServiceTokens, TokenIssuer};
pub use settings::{AuthSettings, JwtSecret, KeySettings, Rotation, ServiceSecret};
pub use tokens::{Role, Token, TokenError, Tokens};
