//! Every kind of problem that a service of this workspace answers with: the one list from which
//! problem documents, the pages at `/problems/{kind}` and `docs/problems.md` are made.
//!
//! It is one list for all services, so that a `type` means the same and leads to the same page
//! whichever of them gives it. A new kind is a line here; its wire name never changes.

use http::StatusCode;

/// A kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// What programs know it by, in `type`: `/problems/<name>`.
    pub name: &'static str,
    /// The status that it comes with.
    pub status: StatusCode,
    /// The same sentence in every problem of this kind.
    pub title: &'static str,
    /// What it means to a caller, and what to do.
    pub meaning: &'static str,
}

macro_rules! kinds {
    ($($KIND:ident = $name:literal, $status:ident, $title:literal, $meaning:literal;)+) => {
        $(
            #[doc = $meaning]
            pub const $KIND: Kind = Kind {
                name: $name,
                status: StatusCode::$status,
                title: $title,
                meaning: $meaning,
            };
        )+
        /// All of them, by status.
        pub const ALL: &[Kind] = &[$($KIND),+];
    };
}

kinds! {
    BAD_REQUEST = "bad-request", BAD_REQUEST, "The request could not be read",
        "Something in it is no HTTP, no JSON or no id, is missing, or is there twice; `detail` says \
         what. The same request will be refused again.";
    UNAUTHORIZED = "unauthorized", UNAUTHORIZED, "Valid credentials are needed",
        "There is no token, or one that is not, or no longer, valid; at a sign-in, the address or the \
         password is wrong. Sign in, or refresh the session, and ask again.";
    SECOND_FACTOR = "second-factor", UNAUTHORIZED, "A code of the second factor is needed",
        "The password is right, and the user has switched the second factor on. Ask for the code that \
         the authenticator app shows, or for a recovery code, and sign in again with address, password \
         and `code`. `detail` says whether a code was missing or wrong; each is good once.";
    FORBIDDEN = "forbidden", FORBIDDEN, "The caller may not do this",
        "The caller is known, and the route is not for them. Another token will not help unless it is \
         another caller's.";
    INSUFFICIENT_SCOPE = "insufficient-scope", FORBIDDEN, "The token carries too little",
        "The caller may do this, and the token is narrowed to other scopes. `WWW-Authenticate` names the one that \
         is missing: sign in with it, or without a list of scopes.";
    NOT_FOUND = "not-found", NOT_FOUND, "There is no such resource",
        "There is nothing at this path, or it is not the caller's to see: the two are not told apart.";
    METHOD_NOT_ALLOWED = "method-not-allowed", METHOD_NOT_ALLOWED,
        "The resource does not support this method",
        "The path is there; the header `Allow` says what can be done with it.";
    REQUEST_TIMEOUT = "request-timeout", REQUEST_TIMEOUT, "The request did not come in time",
        "Its head or its body stalled on the way. Send it again, whole.";
    CHANGED = "changed", CONFLICT, "What matches is not what was confirmed",
        "Between the look and the confirmation something came or went. Nothing was done: look again, \
         and confirm that.";
    EMAIL_TAKEN = "email-taken", CONFLICT, "The e-mail address is taken",
        "Somebody has registered it, in upper or lower case. Sign in, or use another one.";
    EXTERNAL_EMAIL_TAKEN = "external-email-taken", CONFLICT,
        "Another account has the address that the issuer knows",
        "An account is not taken over by an address. Sign in with the password of that account, and link the \
         account at the issuer to it there. Nothing was made.";
    EXTERNAL_ACCOUNT_TAKEN = "external-account-taken", CONFLICT, "The external account is linked already",
        "The account at the issuer is linked to a user, or this user has another one there: unlink that one \
         first.";
    LAST_ADMINISTRATOR = "last-administrator", CONFLICT, "There would be no administrator left",
        "The user is the only administrator. Make somebody else one first.";
    SECOND_FACTOR_ON = "second-factor-on", CONFLICT, "The second factor is on already",
        "Switch it off first, which takes the password and a code, and then on again.";
    IDEMPOTENCY_IN_FLIGHT = "idempotency-in-flight", CONFLICT,
        "A request with this Idempotency-Key is in flight",
        "The first request with the key has not got far enough to be waited for. Ask again with the \
         same key after `Retry-After`.";
    PRECONDITION_FAILED = "precondition-failed", PRECONDITION_FAILED,
        "The resource has changed since it was read",
        "`If-Match` does not name the current `ETag`. Read the resource again, decide again, and send \
         its `ETag` as it is. A weak tag, `W/\"…\"`, names none.";
    TOO_LARGE = "too-large", PAYLOAD_TOO_LARGE, "The body is too large",
        "Nothing of it was taken.";
    URI_TOO_LONG = "uri-too-long", URI_TOO_LONG, "The request's target is too long",
        "Path and query together are longer than any that there is here.";
    MEDIA_TYPE = "media-type", UNSUPPORTED_MEDIA_TYPE, "The body's media type is not supported",
        "`detail` says which types are; a body comes as it is, without a `Content-Encoding`.";
    VALIDATION = "validation", UNPROCESSABLE_ENTITY, "Some fields are not valid",
        "`errors` names all that could be found at once, 32 at most, each by its JSON pointer into the \
         body. Nothing was changed.";
    EXTERNAL_EMAIL_UNPROVEN = "external-email-unproven", UNPROCESSABLE_ENTITY,
        "The issuer knows no address that is proven",
        "An account is made only with an address of which the issuer says that its owner reads what comes there. \
         Prove it at the issuer and begin again, or register with a password. Nothing was made.";
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused", UNPROCESSABLE_ENTITY,
        "The Idempotency-Key was used for another request",
        "The key belongs to a request that said something else. A new request needs a new key.";
    PAYER_NOT_ACTIVE = "payer-not-active", UNPROCESSABLE_ENTITY, "The payer's account is not active",
        "The account is deleted, or was never there. Nothing was charged.";
    USER_NOT_ACTIVE = "user-not-active", UNPROCESSABLE_ENTITY, "The user's account is not active",
        "The account is deleted, or was never there. Nothing was made.";
    PRECONDITION = "precondition", PRECONDITION_REQUIRED, "The change needs a precondition",
        "Read the resource and send its `ETag` in `If-Match`, so that nobody's change is lost.";
    RATE_LIMITED = "rate-limited", TOO_MANY_REQUESTS, "There were too many requests",
        "Wait for as long as `Retry-After` says; asking earlier does not help.";
    HEAD_TOO_LARGE = "head-too-large", REQUEST_HEADER_FIELDS_TOO_LARGE,
        "The head of the request is too large",
        "Its headers are too many, or too long together.";
    INTERNAL = "internal", INTERNAL_SERVER_ERROR, "Something went wrong on our side",
        "The answer says nothing of the cause. Whoever runs the service finds it by `x-request-id`.";
    UNAVAILABLE = "unavailable", SERVICE_UNAVAILABLE, "The service cannot do this now",
        "Something that it needs is away, or it has too much to do. Ask again after `Retry-After`, a \
         payment with the same `Idempotency-Key`.";
    HTTP_VERSION = "http-version", HTTP_VERSION_NOT_SUPPORTED, "Only HTTP/1.1 is spoken here",
        "Use HTTP/1.1.";
}

impl Kind {
    /// The kind of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|kind| kind.name == name)
    }
}
