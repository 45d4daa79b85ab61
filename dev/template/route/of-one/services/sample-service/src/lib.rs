//! | `GET /api/samples/{id}/aspect` | the user, an administrator | answers for one |
