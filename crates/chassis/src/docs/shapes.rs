//! The headers that the chassis reads and writes, in the words of OpenAPI: a handler names one, its
//! shape is said here.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{Components, Object, ObjectBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Response};

/// A header: as a request's it is named by routes, as an answer's it is a component.
struct Shape {
    /// In lower case.
    name: &'static str,
    /// The component's.
    component: &'static str,
    description: &'static str,
    example: &'static str,
    /// A regular expression that the value matches, and its most characters; none where what is not
    /// understood is ignored.
    bounds: Option<(&'static str, usize)>,
}

/// What requests bring.
const REQUESTS: [Shape; 3] = [
    Shape {
        name: "idempotency-key",
        component: "IdempotencyKey",
        description: "A new one for a new request, the same one to ask again.",
        example: "8f14e45f-ceea-467f-a0e6-2a3b4c5d6e7f",
        // Visible characters; spaces around it are not a part of the value.
        bounds: Some(("^[!-~]([ -~]*[!-~])?$", 255)),
    },
    Shape {
        name: "if-match",
        component: "IfMatch",
        description: "The ETag of the version that was read (RFC 9110, section 13.1.1).",
        example: "\"7\"",
        bounds: Some(("^(\\*|(W/)?\"[!#-~]*\"( *, *(W/)?\"[!#-~]*\")*)$", 255)),
    },
    Shape {
        name: "prefer",
        component: "Prefer",
        description: "`wait=N`: seconds to wait for the outcome (RFC 7240).",
        example: "wait=5",
        bounds: None,
    },
];

/// What answers carry.
const ANSWERS: [Shape; 9] = [
    Shape {
        name: "x-request-id",
        component: "RequestId",
        description: "Finds the request in logs.",
        example: "019b2d4e-7c7a-7d1f-9a43-5f0c3a1b2c3d",
        bounds: Some(("^[A-Za-z0-9._:-]+$", 128)),
    },
    Shape {
        name: "etag",
        component: "ETag",
        description: "The resource's version, for If-Match.",
        example: "\"7\"",
        bounds: Some(("^\"[0-9]+\"$", 32)),
    },
    Shape {
        name: "location",
        component: "Location",
        description: "The path of what was made.",
        example: "/api/users/019b2d4e-7c7a-7d1f-9a43-5f0c3a1b2c3d",
        bounds: Some(("^/", 2048)),
    },
    Shape {
        name: "retry-after",
        component: "RetryAfter",
        description: "Seconds after which to try again.",
        example: "1",
        bounds: Some(("^[0-9]+$", 10)),
    },
    Shape {
        name: "www-authenticate",
        component: "WwwAuthenticate",
        description: "How to say who calls.",
        example: "Bearer",
        bounds: Some(("^(Basic|Bearer)", 255)),
    },
    Shape {
        name: "idempotent-replayed",
        component: "IdempotentReplayed",
        description: "`true` when the Idempotency-Key was used before; absent otherwise.",
        example: "true",
        bounds: Some(("^true$", 4)),
    },
    Shape {
        name: "ratelimit-policy",
        component: "RateLimitPolicy",
        description: "The limits of the route: so many requests (q) in so many seconds (w). \
                      draft-ietf-httpapi-ratelimit-headers-11.",
        example: "\"address\";q=30;w=60",
        bounds: Some(("^\"[^\"]+\";q=[0-9]+;w=[0-9]+", 1024)),
    },
    Shape {
        name: "ratelimit",
        component: "RateLimit",
        description: "What is left of each limit (r), and in how many seconds all of it is there again (t).",
        example: "\"address\";r=0;t=60",
        bounds: Some(("^\"[^\"]+\";r=[0-9]+;t=[0-9]+", 1024)),
    },
    Shape {
        name: "preference-applied",
        component: "PreferenceApplied",
        description: "`wait=N`: the seconds that are granted, when Prefer asked for some (RFC 7240).",
        example: "wait=5",
        bounds: Some(("^wait=[0-9]+$", 16)),
    },
];

impl Shape {
    fn schema(&self) -> Object {
        let schema = ObjectBuilder::new().schema_type(Type::String).examples([self.example]);
        let Some((pattern, length_max)) = self.bounds else { return schema.build() };
        let schema = schema.pattern(Some(pattern)).min_length(Some(1));
        schema.max_length(Some(length_max)).build()
    }
}

/// Adds the headers of answers to the components.
pub(super) fn define(components: &mut Components) {
    for shape in &ANSWERS {
        let description = Some(shape.description);
        let header =
            HeaderBuilder::new().schema(Some(shape.schema())).description(description).build();
        components.headers.insert(shape.component.to_owned(), RefOr::T(header));
    }
}

/// Says the shape of a header that requests bring.
pub(super) fn of_request(parameter: &mut Parameter) {
    let is_header = parameter.parameter_in == ParameterIn::Header;
    let shape = REQUESTS.iter().find(|shape| shape.name.eq_ignore_ascii_case(&parameter.name));
    let Some(shape) = shape.filter(|_| is_header) else { return };
    parameter.schema = Some(RefOr::T(shape.schema().into()));
    parameter.description.get_or_insert_with(|| shape.description.to_owned());
}

/// Says that an answer carries a header; one that the handler named gets its shape.
pub(super) fn carries(response: &mut Response, name: &str) {
    if let Some(shape) = ANSWERS.iter().find(|shape| shape.name == name) {
        let header = Ref::new(format!("#/components/headers/{}", shape.component));
        response.headers.insert(name.to_owned(), RefOr::Ref(header));
    }
}
