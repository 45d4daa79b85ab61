//! | `GET /api/samples/{id}/aspect` | the user, an administrator | has `sample.occurred` told of one |
