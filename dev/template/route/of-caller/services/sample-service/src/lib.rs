//! | `GET /api/samples/{id}/aspect` | a user | answers for the caller |
